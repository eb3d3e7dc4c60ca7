import subprocess
import sys

CODE = """
import sys
sys.modules[{name!r}] = None
from opentrail_cli.entry import main
sys.argv = ["opentrail", "--version"]
main()
"""


def run(name):
    return subprocess.run(
        [sys.executable, "-c", CODE.format(name=name)], capture_output=True, text=True, timeout=60, check=False
    )


def test_an_auditors_installation_is_told_what_the_services_need():
    done = run("typer")
    assert done.returncode == 1
    assert done.stderr.startswith("opentrail: typer is not installed.")
    assert "pip install 'opentrail[server]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_module_of_ours_that_is_missing_is_a_fault_and_no_advice():
    done = run("opentrail_cli.settings")
    assert "Traceback" in done.stderr
