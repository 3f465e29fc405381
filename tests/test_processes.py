"""What a test says whose process failed."""

import pytest
from processes import python


def test_a_process_that_fails_shows_what_it_printed():
    program = "import sys; print('to one'); print('to the other', file=sys.stderr); sys.exit(3)"
    with pytest.raises(AssertionError, match=r"(?s)exit code 3 of .*to one\n.*to the other"):
        python("-c", program)
    assert python("-c", program, code=3).stdout == "to one\n"
    assert python("-c", program, code=None).stderr == "to the other\n"


def test_a_process_that_should_have_failed_and_did_not_is_a_failure():
    with pytest.raises(AssertionError, match="exit code 0"):
        python("-c", "pass", code=1)
