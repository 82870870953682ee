"""What a CI does with its files, as far as the files of this repository ask for it: steps, expressions, jobs.

Steps of shell are run by bash, in the way of the runner. Other actions are looked up in a table: what they do is
not ours to test.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

SHELLS = {None: ("bash", "-e"), "bash": ("bash", "--noprofile", "--norc", "-eo", "pipefail")}
_NAME = re.compile(r"'[^']*'|!(?!=)|&&|\|\||[\w.-]+(?=\()|[\w.-]+")

Uses = Callable[[Mapping[str, str]], Mapping[str, str]]
"""An action of somebody else: its inputs to its outputs."""


@dataclass
class Job:
    """A job of GitHub under way: what its steps see, and what they leave."""

    workspace: Path
    temp: Path
    environment: Mapping[str, str]
    actions: Mapping[str, Uses]
    contexts: dict[str, Any] = field(default_factory=dict)
    log: str = ""
    statuses: list[int] = field(default_factory=list)
    """How the steps of shell ended."""
    used: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        """Whether a step has failed."""
        return any(self.statuses)

    @property
    def summary(self) -> str:
        """What the steps wrote for the page of the run."""
        return "".join(file.read_text() for file in sorted(self.temp.glob("summary-*")))

    def workflow(self, file: Path) -> None:
        """Run the only job of a workflow."""
        (job,) = read(file)["jobs"].values()
        self.environment = {**self.environment, **job.get("env", {})}
        self.steps(job["steps"], self.contexts)

    def steps(self, steps: list[dict[str, Any]], contexts: dict[str, Any]) -> None:
        """Run steps, those after a failure only if they say so."""
        contexts.setdefault("steps", {})
        for step in steps:
            condition = step.get("if", "success()").strip()
            condition = condition.removeprefix("${{").removesuffix("}}")
            if "cancelled()" not in condition and self.failed:
                continue
            if self._value(condition, contexts):
                outputs = self._run(step, contexts) if "run" in step else self._use(step, contexts)
                contexts["steps"][step.get("id")] = {"outputs": dict(outputs)}

    def _run(self, step: dict[str, Any], contexts: dict[str, Any]) -> Mapping[str, str]:
        number = len(list(self.temp.glob("step-*")))
        script, output = self.temp / f"step-{number:02}.sh", self.temp / f"output-{number:02}"
        script.write_text(self._filled(step["run"], contexts))
        output.write_text("")
        environment = {
            **self.environment,
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_WORKSPACE": str(self.workspace),
            "GITHUB_ACTION_PATH": str(contexts.get("action_path", "")),
            "GITHUB_OUTPUT": str(output),
            "GITHUB_STEP_SUMMARY": str(self.temp / f"summary-{number:02}"),
            "RUNNER_TEMP": str(self.temp),
            **{name: self._filled(text, contexts) for name, text in step.get("env", {}).items()},
        }
        shell = SHELLS[step.get("shell")]
        ended = subprocess.run(
            [*shell, str(script)],
            cwd=self.workspace,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        self.log += ended.stdout + ended.stderr
        self.statuses.append(ended.returncode)
        return dict(line.split("=", 1) for line in output.read_text().splitlines())

    def _use(self, step: dict[str, Any], contexts: dict[str, Any]) -> Mapping[str, str]:
        name = step["uses"]
        inputs = {key: self._filled(str(text), contexts) for key, text in step.get("with", {}).items()}
        self.used.append((name, inputs))
        if not name.startswith("./"):
            return self.actions[name.split("@")[0]](inputs)
        self.composite(self.workspace / name, inputs)
        return {}

    def composite(self, folder: Path, inputs: Mapping[str, str]) -> None:
        """Run a composite action that lies in a folder."""
        action = read(folder / "action.yml")
        assert action["runs"]["using"] == "composite"
        assert set(inputs) <= set(action["inputs"])
        defaults = {name: str(about.get("default", "")) for name, about in action["inputs"].items()}
        self.steps(
            action["runs"]["steps"], {"inputs": defaults | dict(inputs), "action_path": folder.resolve()}
        )

    def _filled(self, text: str, contexts: dict[str, Any]) -> str:
        return re.sub(r"\$\{\{(.*?)\}\}", lambda found: str(self._value(found[1], contexts)), text)

    def _value(self, expression: str, contexts: dict[str, Any]) -> Any:
        """An expression of a workflow, of the few kinds that the files have."""
        functions = {
            "success": lambda: not self.failed,
            "cancelled": lambda: False,
            "hashFiles": lambda name: "hash" if (self.workspace / name).is_file() else "",
        }

        def python(found: re.Match[str]) -> str:
            word = found[0]
            if word in ("!", "&&", "||"):
                return {"!": " not ", "&&": " and ", "||": " or "}[word]
            if word.startswith("'") or word in functions:
                return word
            return f"look({word.split('.')!r})"

        def look(parts: list[str]) -> Any:
            value: Any = contexts
            for part in parts:
                value = value[part]
            return value

        code = _NAME.sub(python, expression.strip())
        return eval(code, {"__builtins__": {}, "look": look, **functions})


def gitlab(file: Path, environment: Mapping[str, str]) -> tuple[int, str]:
    """Run the only job of a pipeline of GitLab: its exit status and its log. A line that fails is the last one."""
    (job,) = read(file).values()
    script = "\n".join(job["script"])
    shell = ["bash", "-eo", "pipefail", "-c", script]
    ended = subprocess.run(
        shell, cwd=file.parent, env=dict(environment), capture_output=True, text=True, check=False
    )
    return ended.returncode, ended.stdout + ended.stderr


def read(file: Path) -> Any:
    """A file of YAML."""
    return YAML(typ="safe", pure=True).load(file.read_text())


def clean_environment(**more: str) -> dict[str, str]:
    """The variables of this process without what belongs to it, to its Python, or to another CI."""
    foreign = ("PYTHON", "GITHUB_", "GITLAB_", "CI_", "PIP_", "VIRTUAL_ENV", "FAC_", "GIT_", "PRE_COMMIT")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return kept | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"} | more
