"""`isocline verify`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

import isocline
from isocline.commands.boundary import FAULT
from isocline.commands.options import ArtifactPath, AsJson


def verify(
    artifact: ArtifactPath,
    trust: Annotated[
        str | None,
        typer.Option("--trust", metavar="KEY", help="Only if it is signed with this public key, a PEM file or hex."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure anew what the certificate says, on this machine; exit 1 when a number does not hold."""
    found = isocline.verify(artifact, trust=trust)
    if as_json:
        claims = [{**asdict(claim), "holds": claim.holds} for claim in found.claims]
        facts = {"name": found.name, "holds": found.holds, "claims": claims, "not_measured": found.not_measured}
        print(json.dumps(facts, indent=2))
    else:
        from isocline.tables import verification_lines

        print("\n".join(verification_lines(found)))
    if not found.holds:
        raise typer.Exit(FAULT)
