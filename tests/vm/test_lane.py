"""The VM lane: all of its tests pass on every kernel, and no guest that went wrong counts as one that went well."""

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from vmlane import catalogue, guest, initramfs, lane, store

KERNELS = catalogue.kernels(lane.CATALOGUE)
NEWEST = list(KERNELS.values())[-1]
MARKER = b"\x1etest\n"
GUESTS_AT_ONCE = 2  # an emulated guest keeps one core busy


def quiet(_: str) -> None:
    """Progress is for people."""


@pytest.fixture
def options():
    return lane.Options(timeout_s=600, cache=store.cache_root())


@pytest.fixture
def boot(tmp_path):
    """Boot the newest kernel with a script of the test's own as its job."""
    stored = store.ensure(NEWEST, store.cache_root(), quiet)

    def run(script: str, timeout_s: float = 300) -> tuple[guest.Ending, bytes]:
        heard: list[bytes] = []
        archive = initramfs.build(stored, lane.TOOLS / "init", script, MARKER)
        return guest.boot(guest.Job(stored.image, archive, MARKER, timeout_s), tmp_path, heard.append), b"".join(heard)

    return run


Outcome = tuple[lane.Run, bytes]  # and what the guest said
Tests = tuple[str, ...]
Outcomes = Callable[[catalogue.Kernel, Tests], Outcome]


def run(kernel: catalogue.Kernel, tests: Tests) -> Outcome:
    heard: list[bytes] = []
    options = lane.Options(timeout_s=800, cache=store.cache_root())
    return lane.run(kernel, catalogue.chosen_tests(lane.INSIDE, tests), options, quiet, heard.append), b"".join(heard)


@pytest.fixture(scope="module")
def outcome(request: pytest.FixtureRequest) -> Iterator[Outcomes]:
    """The kernels that this run asks for, side by side from the first test of a kind on; the newest takes longest."""
    calls = [item.callspec for item in request.session.items if item.path == request.path and hasattr(item, "callspec")]
    kernels = list({call.params["kernel"].name: call.params["kernel"] for call in reversed(calls)}.values())
    begun: dict[Tests, dict[str, Future[Outcome]]] = {}
    with ThreadPoolExecutor(GUESTS_AT_ONCE) as guests:

        def of(kernel: catalogue.Kernel, tests: Tests) -> Outcome:
            if tests not in begun:
                begun[tests] = {each.name: guests.submit(run, each, tests) for each in kernels}
            return begun[tests][kernel.name].result()

        yield of
        guests.shutdown(cancel_futures=True)


def passes(kernel: catalogue.Kernel, outcome: Outcome) -> None:
    run, heard = outcome
    sys.stdout.write(heard.decode(errors="replace"))
    for result in run.results:
        for name, value in result.figures:
            sys.stdout.write(f"{kernel.name} {name}: {value}\n")
    assert run.good, (run.failure, [r for r in run.results if r.outcome == "failed"], guest.console_tail(run.console))
    assert {result.outcome for result in run.results} >= {"passed"}


@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
def test_every_test_passes_inside(kernel, outcome):
    passes(kernel, outcome(kernel, catalogue.quick_tests(lane.INSIDE)))


@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
def test_every_long_test_passes_inside(kernel, outcome):
    passes(kernel, outcome(kernel, catalogue.long_tests(lane.INSIDE)))


def test_a_failing_test_fails_the_lane_and_names_itself(tmp_path, options):
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_two.py").write_text("def test_good():\n    pass\n\n\ndef test_bad():\n    assert 1 == 2\n")
    inside = lane.Options(timeout_s=600, cache=options.cache, inside=tmp_path)
    run = lane.run(NEWEST, catalogue.chosen_tests(tmp_path, ()), inside, quiet, lambda _: None)
    assert not run.good
    assert {result.test.rsplit("::", 1)[-1]: result.outcome for result in run.results} == {
        "test_good": "passed",
        "test_bad": "failed",
    }


def test_output_and_exit_code_of_the_job_come_back(boot):
    ending, output = boot("echo hello; exit 3\n")
    assert (ending.failure, ending.exit_code, output) == ("", 3, b"hello\n")


def test_a_panic_is_a_failure_with_the_console_as_witness(boot):
    ending, output = boot("echo before; echo c >/proc/sysrq-trigger; sleep 60\n")
    assert (ending.failure, ending.exit_code) == ("the kernel panicked", 1)
    assert "sysrq triggered crash" in guest.console_tail(ending.console)
    assert output in (b"", b"before\n")


def test_a_hang_ends_at_the_deadline_and_is_a_failure(boot):
    ending, _ = boot("sleep 100000\n", timeout_s=20)
    assert (ending.failure, ending.exit_code) == ("hung: no end within 20 s", 1)


def test_a_guest_that_leaves_early_has_no_result(boot):
    ending, _ = boot("echo b >/proc/sysrq-trigger; sleep 60\n")
    assert (ending.failure, ending.exit_code) == ("ended without a result", 1)
