"""The command `diagnose`: which health rules fire on a run."""

from azr_mini import options as opt
from azr_mini.commands.console import parse, say


def diagnose(arguments: list[str]) -> int:
    """Prints the findings of a run, each with what to do, or that there are none."""
    options = parse(opt.DiagnoseOptions, "diagnose", arguments)
    from azr_mini.runs import Run

    say_findings(Run.open(options.run))
    return 0


def say_findings(run) -> None:
    """Prints the findings of a run as a table and what to do about each rule that fired."""
    from azr_mini.diagnose import diagnose as find
    from azr_mini.diagnose import known_config
    from azr_mini.health.history import WINDOW
    from azr_mini.report import findings_table, warning_lines

    metrics = run.metrics
    findings = find(metrics, known_config(run), run.heldout)
    if findings:
        say(findings_table(f"Findings in {len(metrics)} steps", findings))
        say("what was seen when each first fired, and what to do:")
        for line in warning_lines(findings):
            say(line)
    else:
        enough = len(metrics) >= WINDOW
        say(
            f"no health rule fired in {len(metrics)} steps"
            + ("" if enough else f", but most rules need {WINDOW}")
        )
