"""What a test says whose process failed."""

import pytest
from processes import python, script


def test_a_process_that_fails_shows_what_it_printed():
    program = "import sys; print('to one'); print('to the other', file=sys.stderr); sys.exit(3)"
    with pytest.raises(AssertionError, match=r"(?s)exit code 3 of .*to one\n.*to the other"):
        python("-c", program)
    assert python("-c", program, code=3).stdout == "to one\n"
    assert python("-c", program, code=None).stderr == "to the other\n"


@pytest.mark.parametrize("start", [python, script], ids=["a process", "a script in this process"])
def test_a_test_that_fails_later_on_shows_what_a_process_complained_of(start, capsys):
    arguments = ("-m", "scripts.compare") if start is python else ("compare",)
    done = start(*arguments, "nothing", "nothing", code=2)
    assert done.stderr
    assert done.stderr in capsys.readouterr().out


def test_a_process_whose_output_goes_elsewhere_is_run_too(tmp_path):
    with (tmp_path / "log").open("w") as file:
        assert python("-c", "print(1)", capture_output=False, stdout=file).stdout is None
    assert (tmp_path / "log").read_text() == "1\n"


def test_a_process_that_should_have_failed_and_did_not_is_a_failure():
    with pytest.raises(AssertionError, match="exit code 0"):
        python("-c", "pass", code=1)


def test_a_script_in_this_process_ends_as_one_in_its_own(tmp_path):
    arguments = ("compare", "a", tmp_path / "none")
    one, other = script(*arguments, code=2), python("-m", f"scripts.{arguments[0]}", *arguments[1:], code=2)
    assert (one.stdout, one.stderr) == (other.stdout, other.stderr)
    assert script("compare", "--help").stdout == python("-m", "scripts.compare", "--help").stdout
    with pytest.raises(AssertionError, match=r"(?s)exit code 2 of scripts\.compare.*not there"):
        script(*arguments)
