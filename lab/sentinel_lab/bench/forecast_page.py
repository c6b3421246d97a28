"""One page a trace: who ranks best, whether chances are what they say, how early alarms come, and demand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

BACK, OURS = "#8a8f98", "#1f6feb"


def written(folder: Path, rows: Sequence[dict[str, Any]]) -> None:
    import matplotlib as mpl  # noqa: PLC0415 - an extra, and slow to import

    mpl.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    for name in dict.fromkeys(row["trace"] for row in rows if "trace" in row):
        own = [row for row in rows if row.get("trace") == name]
        _page(name, own, folder / f"{name}.png")


def _page(name: str, rows: list[dict[str, Any]], path: Path) -> None:
    from matplotlib import pyplot  # noqa: PLC0415 - as above

    figure, places = pyplot.subplots(2, 2, figsize=(11, 8), constrained_layout=True)
    figure.suptitle(name)
    alarms = next(row for row in rows if row.get("what") == "alarms")
    _ranking(places[0, 0], rows)
    _reliability(places[0, 1], alarms)
    _leads(places[1, 0], alarms, rows)
    _demand(places[1, 1], [row for row in rows if row.get("what") == "demand"])
    figure.savefig(path, dpi=80)
    pyplot.close(figure)


def _ranking(place: Any, rows: list[dict[str, Any]]) -> None:
    """Average precision with its interval; the dotted line is the base rate, which chance reaches."""
    ranked = [row for row in rows if row.get("window") == "5_10" and row["ap"] is not None]
    place.set_title("average precision, [5,10] s")
    if not ranked:
        place.text(0.5, 0.5, "no burst in the judged time", ha="center", transform=place.transAxes)
        return
    ranked.sort(key=lambda row: row["ap"])
    for at, row in enumerate(ranked):
        place.barh(at, row["ap"], color=OURS if row["rule"] == "forecast" else BACK)
        if row["ap_5_95"]:
            place.plot(row["ap_5_95"], [at, at], color="black", linewidth=1)
    place.axvline(ranked[0]["base"], linestyle=":", color="black")
    place.set_yticks(range(len(ranked)), [row["rule"] for row in ranked])
    place.set_xlim(0, 1)


def _reliability(place: Any, alarms: dict[str, Any]) -> None:
    """On the diagonal what was said is what came; a dot is as large as it was often said."""
    place.set_title("what was said of [1,10] s, and how often it came")
    place.plot([0, 1], [0, 1], linestyle=":", color="black")
    said, came, count = zip(*alarms["reliability"], strict=True)
    most = max(count)
    place.plot(said, came, color=OURS, linewidth=1)
    place.scatter(said, came, s=[20 + 180 * each / most for each in count], color=OURS)
    place.set_xlabel("said")
    place.set_ylabel("came")


def _leads(place: Any, alarms: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    judged = next(row for row in rows if row.get("window") == "1_10" and row["rule"] == "forecast")
    place.set_title(f"lead of right alarms ({len(alarms['leads_s'])} of {judged['alarms']}, {judged['onsets']} bursts)")
    place.hist(alarms["leads_s"], bins=range(11), color=OURS)
    place.set_xlabel("seconds before the burst")
    place.set_ylabel("alarms")


def _demand(place: Any, rows: list[dict[str, Any]]) -> None:
    """Above zero our loss is smaller than the rival's."""
    place.set_title("skill of demand over simple rules (pinball)")
    place.axhline(0.0, linestyle=":", color="black")
    horizons = [row["horizon_s"] for row in rows]
    for rival in rows[0]["skill"] if rows else ():
        place.plot(range(len(rows)), [row["skill"][rival] for row in rows], marker="o", label=rival)
    place.set_xticks(range(len(rows)), horizons)
    place.set_xlabel("seconds ahead")
    if rows:
        place.legend()
