import doctest

import opentrail.evidence


def test_the_example_of_the_package_runs():
    outcome = doctest.testmod(opentrail.evidence)
    assert outcome.attempted > 5
    assert outcome.failed == 0
