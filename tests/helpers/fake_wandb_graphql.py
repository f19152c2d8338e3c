"""GraphQL of the W&B service on loopback, for runs and artifacts; `gql_NAME` answers the operation NAME."""

import base64
import collections
import json
import uuid
from dataclasses import dataclass, field
from typing import Any

ENTITY = "fake"
Json = dict[str, Any]


def make_id(kind: str, *parts: object) -> str:
    return base64.b64encode(":".join([kind, *map(str, parts)]).encode()).decode()


def new_name() -> str:
    return uuid.uuid4().hex[:8]


def project(name: str) -> Json:
    entity = {"id": make_id("Entity", 1), "name": ENTITY}
    return {"id": make_id("Project", name), "internalId": make_id("Project", name), "name": name, "entity": entity}


@dataclass
class Run:
    """One run as the service has it.

    Attributes:
        info: The last `UpsertBucket`'s variables: displayName, groupName, tags, notes, jobType, sweep, …
        stream: File, then line number, then line.
        files: Uploaded files by name.
    """

    id: str
    project: str
    info: Json = field(default_factory=dict)
    config: Json = field(default_factory=dict)
    summary: Json = field(default_factory=dict)
    stream: dict[str, dict[int, str]] = field(default_factory=lambda: collections.defaultdict(dict))
    files: dict[str, bytes] = field(default_factory=dict)
    complete: bool = False
    exitcode: int | None = None

    def lines(self, name: str) -> list[Json]:
        return [json.loads(line) for _, line in sorted(self.stream[name].items())]

    @property
    def history(self) -> list[Json]:
        return self.lines("wandb-history.jsonl")

    @property
    def steps(self) -> list[int]:
        """The `_step` of every row of the history, in the order in which they came."""
        return [row["_step"] for row in self.history]

    @property
    def settings(self) -> Json:
        """The config as the user gave it."""
        return {key: entry["value"] for key, entry in self.config.items() if key != "_wandb"}

    @property
    def state(self) -> str:
        if not self.complete:
            return "running"
        return "failed" if self.exitcode else "finished"


class Runs:
    """Login, runs and their streams."""

    def __init__(self) -> None:
        super().__init__()
        self.runs: dict[tuple[str, str], Run] = {}
        """Runs by project and id: an id is one run's in each project."""
        self.alerts: list[Json] = []

    def file_stream(self, key: tuple[str, str], chunks: Json) -> Json:
        """Take some lines of a run's streams."""
        run = self.runs[key]
        for name, chunk in (chunks.get("files") or {}).items():
            for index, line in enumerate(chunk.get("content", [])):
                run.stream[name][chunk.get("offset", 0) + index] = line
            if name == "wandb-summary.json":
                run.summary = json.loads(chunk["content"][-1])
        if chunks.get("complete"):
            run.complete, run.exitcode = True, chunks.get("exitcode")
        return {"exitcode": None, "limits": {}}

    def _bucket(self, run: Run) -> Json:
        tails = {
            tail: json.dumps([json.dumps(row) for row in run.lines(name)[-1:]])
            for tail, name in (("historyTail", "wandb-history.jsonl"), ("eventsTail", "wandb-events.jsonl"))
        }
        return {
            **tails,
            "id": make_id("Run", run.id),
            "name": run.id,
            "displayName": run.info.get("displayName") or run.id,
            "description": None,
            "config": json.dumps(run.config),
            "summaryMetrics": json.dumps(run.summary),
            "sweepName": run.info.get("sweep"),
            "project": project(run.project),
            "historyLineCount": len(run.stream["wandb-history.jsonl"]),
            "logLineCount": len(run.stream["output.log"]),
            "eventsLineCount": len(run.stream["wandb-events.jsonl"]),
            "tags": run.info.get("tags") or [],
            "notes": run.info.get("notes"),
            "wandbConfig": json.dumps({"t": 1}),
        }

    def gql_Viewer(self, _: Json) -> Json:  # noqa: N802
        names = {"entity": ENTITY, "username": ENTITY, "email": "fake@example.invalid", "name": "Fake"}
        lists = {"apiKeys": {"edges": []}, "teams": {"edges": []}}
        return {"viewer": {"id": make_id("User", 1), "flags": "{}", "admin": False, **names, **lists}}

    gql_GetViewer = gql_GetDefaultEntity = gql_Viewer  # noqa: N815 - wandb 0.28, and `wandb.Api`

    def gql_ServerFeaturesQuery(self, _: Json) -> Json:  # noqa: N802
        return {"serverInfo": {"features": []}}

    def gql_ServerInfo(self, _: Json) -> Json:  # noqa: N802
        versions = {"min_cli_version": "0.10.0", "max_cli_version": "99.0.0"}
        return {"serverInfo": {"cliVersionInfo": versions, "latestLocalVersionInfo": None}}

    def gql_RunResumeStatus(self, variables: Json) -> Json:  # noqa: N802
        run = self.runs.get((variables["project"], variables["name"]))
        return {"model": {**project(variables["project"]), "bucket": self._bucket(run) if run else None}}

    def gql_UpsertBucket(self, variables: Json) -> Json:  # noqa: N802
        name = variables.get("name") or new_name()
        key = (variables["project"], name)
        inserted = key not in self.runs
        run = self.runs.setdefault(key, Run(name, variables["project"]))
        values = {key: value for key, value in variables.items() if value is not None}
        run.info |= {key: value for key, value in values.items() if key not in ("config", "summaryMetrics")}
        run.config |= json.loads(variables.get("config") or "{}")
        run.summary |= json.loads(variables.get("summaryMetrics") or "{}")
        return {"upsertBucket": {"bucket": self._bucket(run), "inserted": inserted}}

    def gql_Run(self, variables: Json) -> Json:  # noqa: N802
        run = self.runs.get((variables["project"], variables["name"]))
        if run is None:
            return {"project": {"run": None}}
        nothing = ("commit", "createdAt", "heartbeatAt", "systemMetrics", "group", "jobType")
        more = {"state": run.state, "readOnly": False, "projectId": 1}
        more |= {"user": {"name": "Fake", "username": ENTITY}, **self._history_keys(run)}
        return {"project": {"run": {**dict.fromkeys(nothing), **self._bucket(run), **more}}}

    def gql_RunHistoryKeys(self, variables: Json) -> Json:  # noqa: N802
        run = self.runs.get((variables["project"], variables["name"]))
        return {"project": {"run": self._history_keys(run) if run else None}}

    def _history_keys(self, run: Run) -> Json:
        return {"historyKeys": {"lastStep": max(run.steps, default=-1)}}

    def gql_CreateRunFiles(self, variables: Json) -> Json:  # noqa: N802
        files = [
            {"name": name, "uploadUrl": self.upload_url("run", variables["project"], variables["run"], name)}
            for name in variables["files"]
        ]
        return {"createRunFiles": {"runID": make_id("Run", variables["run"]), "uploadHeaders": [], "files": files}}

    def gql_RunFiles(self, variables: Json) -> Json:  # noqa: N802
        files = self.runs[variables["project"], variables["name"]].files
        nothing = ("url", "directUrl", "mimetype", "updatedAt", "md5")
        contents = {name: files[name] for name in variables["fileNames"] if name in files}
        nodes = [
            {**dict.fromkeys(nothing), "id": make_id("File", name), "name": name, "sizeBytes": len(content)}
            for name, content in contents.items()
        ]
        edges = [{"node": node, "cursor": node["name"]} for node in nodes]
        page = {"endCursor": None, "hasNextPage": False}
        run = {"fileCount": len(files), "files": {"edges": edges, "pageInfo": page}}
        return {"project": {"internalId": make_id("Project", variables["project"]), "run": run}}

    def gql_RunStoppedStatus(self, _: Json) -> Json:  # noqa: N802
        return {"project": {"run": {"stopped": False}}}

    def gql_NotifyScriptableRunAlert(self, variables: Json) -> Json:  # noqa: N802
        self.alerts.append(variables)
        return {"notifyScriptableRunAlert": {"success": True}}


class Artifacts:
    """Artifacts; one with the digest of a committed one of its collection is that one, as with the real service."""

    def __init__(self) -> None:
        super().__init__()
        self.artifacts: dict[str, Json] = {}
        self.used: list[str] = []
        """Ids of the artifacts that runs said they use."""

    def gql_CreateArtifact(self, variables: Json) -> Json:  # noqa: N802
        specification = variables["input"]
        key = ("projectName", "artifactCollectionName", "artifactTypeName", "digest")
        for candidate in self.artifacts.values():
            if candidate["state"] == "COMMITTED" and all(candidate[name] == specification[name] for name in key):
                return self._artifact("createArtifact", candidate)
        artifact = {**specification, "id": make_id("Artifact", new_name()), "state": "PENDING", "files": {}}
        self.artifacts[artifact["id"]] = artifact
        return self._artifact("createArtifact", artifact)

    def _artifact(self, operation: str, artifact: Json) -> Json:
        fields = {name: artifact[name] for name in ("id", "state", "digest")}
        return {operation: {"artifact": {**fields, "artifactSequence": {"latestArtifact": None}}}}

    def _manifest(self, operation: str, manifest: str) -> Json:
        file = {"id": manifest, "uploadUrl": self.upload_url("manifest", manifest), "uploadHeaders": []}
        return {operation: {"artifactManifest": {"id": manifest, "file": file}}}

    def gql_CreateArtifactManifest(self, variables: Json) -> Json:  # noqa: N802
        return self._manifest("createArtifactManifest", make_id("ArtifactManifest", variables["artifactID"]))

    def gql_UpdateArtifactManifest(self, variables: Json) -> Json:  # noqa: N802
        return self._manifest("updateArtifactManifest", variables["artifactManifestID"])

    def gql_CreateArtifactFiles(self, variables: Json) -> Json:  # noqa: N802
        edges = []
        # 0.28 sent $artifactFiles, 0.31 sends $input
        for file in (variables.get("input") or variables)["artifactFiles"]:
            self.artifacts[file["artifactID"]]["files"][file["name"]] = file["md5"]
            key = ("artifact", file["artifactID"], file["name"])
            node = {"storagePath": "wandb_artifacts/" + "/".join(key), "uploadUrl": self.upload_url(*key)}
            node |= {"uploadHeaders": [], "uploadMultipartUrls": None, "artifact": {"id": file["artifactID"]}}
            edges.append({"node": node})
        return {"createArtifactFiles": {"files": {"edges": edges}}}

    def gql_CommitArtifact(self, variables: Json) -> Json:  # noqa: N802
        artifact = self.artifacts[variables["artifactID"]]
        artifact["state"] = "COMMITTED"
        return self._artifact("commitArtifact", artifact)

    def gql_OrganizationCoreWeaveOrganizationID(self, _: Json) -> Json:  # noqa: N802
        return {"entity": {"organization": None}}

    def gql_ArtifactType(self, variables: Json) -> Json:  # noqa: N802
        name = variables["name"].split(":")[0]
        types = [a["artifactTypeName"] for a in self.artifacts.values() if a["artifactCollectionName"] == name]
        return {"project": {"artifact": {"artifactType": {"name": types[0]}} if types else None}}

    def gql_ArtifactByID(self, variables: Json) -> Json:  # noqa: N802
        return {"artifact": self._told(self.artifacts[variables["id"]])}

    def gql_RunOutputArtifacts(self, variables: Json) -> Json:  # noqa: N802
        mine = [
            artifact
            for artifact in self.artifacts.values()
            if (artifact["projectName"], artifact["runName"]) == (variables["project"], variables["run"])
        ]
        edges = [{"node": self._told(artifact)} for artifact in mine if artifact["state"] == "COMMITTED"]
        page = {"endCursor": None, "hasNextPage": False}
        return {"project": {"run": {"artifacts": {"totalCount": len(edges), "pageInfo": page, "edges": edges}}}}

    def _told(self, artifact: Json) -> Json:
        name, nothing = artifact["artifactCollectionName"], ("description", "historyStep")
        collection = {"__typename": "ArtifactSequence", "name": name, "project": project(artifact["projectName"])}
        aliases = [
            {"__typename": "ArtifactAlias", "id": make_id("Alias", name, a["alias"]), "alias": a["alias"]}
            | {"artifactCollection": collection}
            for a in artifact.get("aliases") or []
        ]
        return {
            **dict.fromkeys([*nothing, "updatedAt", "commitHash"]),
            "__typename": "Artifact",
            "id": artifact["id"],
            "artifactSequence": collection,
            "versionIndex": 0,
            "artifactType": {"name": artifact["artifactTypeName"]},
            "metadata": artifact.get("metadata"),
            "ttlDurationSeconds": -2,
            "ttlIsInherited": True,
            "tags": [],
            "state": artifact["state"],
            "size": 1,
            "digest": artifact["digest"],
            "fileCount": len(artifact["files"]),
            "createdAt": "2026-01-01T00:00:00",
            "aliases": aliases,
        }

    def gql_UseArtifact(self, variables: Json) -> Json:  # noqa: N802
        self.used.append(variables["input"]["artifactID"])
        return {"useArtifact": {"artifact": {"id": variables["input"]["artifactID"]}}}
