"""Sweeps and workspaces of the W&B service on loopback."""

import itertools
import json

import yaml

from tests.helpers.fake_wandb_graphql import Json, Run, make_id, new_name, project


class Sweeps:
    """Sweeps of fixed values and grids, and their agents."""

    runs: dict[tuple[str, str], Run]

    def __init__(self) -> None:
        super().__init__()
        self.sweeps: dict[str, Json] = {}
        self.agents: dict[str, str] = {}

    def gql_UpsertSweep(self, variables: Json) -> Json:  # noqa: N802
        name = next((name for name in self.sweeps if make_id("Sweep", name) == variables.get("id")), None) or new_name()
        fresh = {"name": name, "state": "PENDING", "issued": [], "controller": {}, "scheduler": {}}
        sweep = self.sweeps.setdefault(name, {**fresh, "config": "{}", "project": variables.get("projectName")})
        sweep |= {key: variables[key] for key in ("config", "state") if variables.get(key)}
        sweep |= {key: json.loads(variables[key]) for key in ("controller", "scheduler") if variables.get(key)}
        if "grid" not in sweep:
            sweep["grid"] = _grid(yaml.safe_load(sweep["config"]).get("parameters", {}))
        answer = {"name": name, "project": project(sweep["project"] or "p")}
        return {"upsertSweep": {"sweep": answer, "configValidationWarnings": []}}

    def gql_SweepWithRuns(self, variables: Json) -> Json:  # noqa: N802
        sweep = self.sweeps.get(variables.get("sweep") or variables.get("name") or "")
        return {"project": {"sweep": self._sweep(sweep) if sweep else None}}

    gql_GetSweep = gql_SweepWithRuns  # noqa: N815

    def gql_CreateAgent(self, variables: Json) -> Json:  # noqa: N802
        agent = new_name()
        self.agents[agent] = variables["sweep"]
        return {"createAgent": {"agent": {"id": agent}}}

    def gql_Heartbeat(self, variables: Json) -> Json:  # noqa: N802
        sweep, commands = self.sweeps[self.agents[variables["id"]]], []
        if not any(json.loads(variables["runState"]).values()):
            commands = [_next(sweep)]
        commands = [command for command in commands if command]
        return {"agentHeartbeat": {"agent": {"id": variables["id"]}, "commands": json.dumps(commands)}}

    def _sweep(self, sweep: Json) -> Json:
        runs = [r for r in self.runs.values() if r.info.get("sweep") == sweep["name"] or r.id in sweep["issued"]]
        nothing = ("description", "displayName", "heartbeatAt", "updatedAt", "bestLoss", "runCountExpected")
        return {
            **dict.fromkeys(nothing),
            "id": make_id("Sweep", sweep["name"]),
            "name": sweep["name"],
            "method": yaml.safe_load(sweep["config"]).get("method"),
            "state": sweep["state"],
            "config": sweep["config"],
            "createdAt": "2026-01-01T00:00:00",
            "earlyStopJobRunning": False,
            "controller": json.dumps(sweep["controller"]),
            "scheduler": json.dumps(sweep["scheduler"]),
            "priorRuns": {"edges": []},
            "runCount": len(runs),
            "runs": {"edges": [{"node": _sweep_run(run)} for run in runs]},
        }


def _grid(parameters: Json) -> list[Json]:
    axes = [[(key, value) for value in (p.get("values") or [p.get("value")])] for key, p in parameters.items()]
    return [dict(choice) for choice in itertools.product(*axes)]


def _next(sweep: Json) -> Json | None:
    """What an idle agent is to do: the next run, nothing yet, or to leave."""
    config, run = yaml.safe_load(sweep["config"]), new_name()
    if (config.get("controller") or {}).get("type") == "local":
        # the local controller has put its schedule there
        done = sweep["scheduler"].setdefault("scheduled", [])
        todo = [e for e in sweep["controller"].get("schedule") or [] if e["id"] not in {old["id"] for old in done}]
        if not todo:
            return {"type": "exit"} if sweep["state"] in ("FINISHED", "CANCELED") else None
        done.append({"id": todo[0]["id"], "runid": run})
        args = todo[0]["data"]["args"]
    elif sweep["grid"]:
        args = {key: {"value": value} for key, value in sweep["grid"].pop(0).items()}
    else:
        return {"type": "exit"}
    sweep["issued"].append(run)
    return {"type": "run", "run_id": run, "program": config.get("program"), "args": args}


def _sweep_run(run: Run) -> Json:
    return {
        "name": run.id,
        "state": run.state,
        "config": json.dumps(run.config),
        "exitcode": run.exitcode,
        "heartbeatAt": None,
        "shouldStop": False,
        "failed": False,
        "stopped": False,
        "running": not run.complete,
        "summaryMetrics": json.dumps(run.summary),
        "sampledHistory": [json.dumps(run.history)],
    }


class Views:
    """Workspaces."""

    def __init__(self) -> None:
        super().__init__()
        self.views: dict[str, Json] = {}

    def gql_UpsertView2(self, variables: Json) -> Json:  # noqa: N802
        key = variables.get("id") or f"view{len(self.views)}"
        inserted = key not in self.views
        self.views[key] = variables
        return {"upsertView": {"view": {"id": key, "name": variables["name"]}, "inserted": inserted}}

    def gql_View(self, variables: Json) -> Json:  # noqa: N802
        views = {key: view for key, view in self.views.items() if view["name"] == variables["viewName"]}
        nodes = [{"id": key, "displayName": view["displayName"], "spec": view["spec"]} for key, view in views.items()]
        return {"project": {"allViews": {"edges": [{"node": node} for node in nodes]}}}
