"""How the process ends tells who watches it whether to start it again."""

import pytest

from sentinel_agent import __main__ as program
from sentinel_api.errors import Invalid, Transient, Unsupported


@pytest.mark.parametrize(("error", "code"), [(Invalid, 2), (Unsupported, 2), (Transient, 1)])
def test_what_may_pass_is_tried_again_and_what_a_person_must_mend_is_not(monkeypatch, capsys, error, code):
    def ends(**_: object) -> None:
        raise error("it is so")

    monkeypatch.setattr(program, "agent", ends)
    with pytest.raises(SystemExit) as ended:
        program.main()
    assert ended.value.code == code
    assert capsys.readouterr().err == "sentinel-agent: it is so\n"
