"""What `doctor` found, as people read it: a line a finding, by the place where it shows."""

import shlex

from rich.console import Console
from rich.text import Text

from tune.config.schema import TrackConfig
from tune.track.upkeep import CheckupRecord, Fate, FindingRecord

_STYLES = {Fate.found: "yellow", Fate.mended: "green", Fate.stays: "red"}


def print_checkup(checkup: CheckupRecord, track: TrackConfig, console: Console) -> None:
    """Print what does not agree, what was mended, and the command that mends the rest."""
    for place in dict.fromkeys(finding.place for finding in checkup.findings):
        console.print(Text(place, "bold"))
        for finding in checkup.findings:
            if finding.place == place:
                console.print(_line(finding), soft_wrap=True)
    for note in checkup.notes:
        console.print(f"note: {note}.", soft_wrap=True)
    if not checkup.findings:
        console.print(
            f"{checkup.study}: nothing to mend: storage, MLflow and disk agree on {checkup.n_trials} trials",
            soft_wrap=True,
        )
        return
    console.print(f"{checkup.study}: {len(checkup.findings)} findings, {checkup.n_mended} mended", soft_wrap=True)
    if any(finding.fate is Fate.found for finding in checkup.findings):
        where = [] if track.folder is None else [f"track.folder={track.folder}"]
        command = shlex.join(["python", "-m", "tune", "doctor", checkup.study, "doctor.fix=true", *where])
        console.print(f"Mend what can be mended: {command}", soft_wrap=True)


def _line(finding: FindingRecord) -> Text:
    advice = f": {finding.advice.rstrip('.')}" if finding.advice else ""
    return Text.assemble("  ", (f"{finding.fate}: ", _STYLES[finding.fate]), f"{finding.what}{advice}.")
