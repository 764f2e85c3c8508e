"""A small Hub on this machine: what huggingface_hub asks for to create a repository, upload to it and load from it."""

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "hf_onlyForTheHub"
LARGE = (".safetensors", ".png")
_NAME = r"((?:spaces/|datasets/)?[^/]+/[^/]+)"


@dataclass
class Repository:
    """What the Hub stores: whether it is private or gated, each commit's title, and the files after the last one."""

    private: bool
    commits: list[str] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    gated: bool = False


class Server(ThreadingHTTPServer):
    """A server on a free port that notes each request and whether a token came with it."""

    def __init__(self, handler):
        super().__init__(("127.0.0.1", 0), handler)
        self.address = f"http://127.0.0.1:{self.server_port}"
        self.seen: list[tuple[str, str, str | None]] = []
        threading.Thread(target=self.serve_forever, args=[0.01], daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.shutdown()
        self.server_close()


class Storage(Server):
    """Where large files go, on a host of its own as in reality."""

    def __init__(self):
        self.objects: dict[str, bytes] = {}
        super().__init__(_StorageHandler)


class Hub(Server):
    """The Hub itself.

    Attributes:
        repositories: By `owner/name`, Spaces by `spaces/owner/name`, datasets by `datasets/owner/name`.
        verify_at: Host that is named for the check after an upload; the Hub itself by default.
        moved_to: Host that requests for `/preupload` are redirected to, if any.
    """

    def __init__(self, storage: Storage):
        self.repositories: dict[str, Repository] = {}
        self.storage = storage
        self.moved_to: str | None = None
        super().__init__(_HubHandler)
        self.verify_at = self.address


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def _answer(self, value=None, status=200, content: bytes | None = None, **headers):
        content = json.dumps(value).encode() if content is None else content
        self.send_response(status)
        for name, text in headers.items():
            self.send_header(name.replace("_", "-"), text)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def __getattr__(self, name):
        if name.startswith("do_"):  # one answer for GET, HEAD, POST and PUT
            return self._receive
        raise AttributeError(name)

    def _receive(self):
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.seen.append((self.command, self.path, self.headers.get("Authorization")))
        self.respond()


class _StorageHandler(_Handler):
    def respond(self):
        if self.command == "PUT":
            self.server.objects[self.path.rsplit("/", 1)[-1]] = self.body
        self._answer({})


class _HubHandler(_Handler):
    def respond(self):
        path = self.path.split("?")[0]
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._answer({"error": "Invalid username or password."}, 401)
        if path == "/api/repos/create":
            return self._create()
        if path == "/api/validate-yaml":
            return self._answer({"errors": [], "warnings": []})
        path = path.replace("/api/models/", "/api/")
        for pattern, action in (
            (rf"/api/{_NAME}/preupload/main", self._preupload),
            (rf"/api/{_NAME}/commit/main", self._commit),
            (rf"/api/{_NAME}(?:/revision/main)?", self._info),
            (rf"/api/{_NAME}/tree/[^/]+", self._tree),
            (rf"/{_NAME}\.git/info/lfs/objects/batch", self._batch),
            (rf"/{_NAME}/verify", self._verify),
            (rf"/{_NAME}/resolve/[^/]+/(.+)", self._resolve),
        ):
            if found := re.fullmatch(pattern, path):
                name, *rest = found.groups()
                if name not in self.server.repositories:
                    return self._answer({"error": "Repository not found"}, 404, X_Error_Code="RepoNotFound")
                return action(name, self.server.repositories[name], *rest)
        return self._answer({"error": "Not found"}, 404)

    def _create(self):
        asked = json.loads(self.body)
        name = f"{asked['organization']}/{asked['name']}"
        if asked.get("type") == "space":
            assert asked["sdk"] == "gradio"
            name = f"spaces/{name}"
        status = 409 if name in self.server.repositories else 200
        self.server.repositories.setdefault(name, Repository(private=asked["visibility"] == "private"))
        self._answer({"url": f"{self.server.address}/{name}"}, status)

    def _info(self, name, repository):
        siblings = [{"rfilename": path} for path in sorted(repository.files)]
        self._answer({"id": name, "private": repository.private, "sha": _revision(repository), "siblings": siblings})

    def _tree(self, name, repository):
        files = [(path, len(content), hashlib.sha1(content).hexdigest()) for path, content in repository.files.items()]
        self._answer([{"type": "file", "path": path, "size": size, "oid": oid} for path, size, oid in files])

    def _preupload(self, name, repository):
        if self.server.moved_to:
            self._answer({}, 307, Location=self.server.moved_to + self.path)
            return
        asked = json.loads(self.body)["files"]
        modes = [(file["path"], "lfs" if file["path"].endswith(LARGE) else "regular") for file in asked]
        self._answer({"files": [{"path": path, "uploadMode": mode, "shouldIgnore": False} for path, mode in modes]})

    def _batch(self, name, repository):
        objects = []
        for item in json.loads(self.body)["objects"]:
            upload = {"href": f"{self.server.storage.address}/objects/{item['oid']}"}
            actions = {"upload": upload, "verify": {"href": f"{self.server.verify_at}/{name}/verify"}}
            objects.append(item | ({"actions": actions} if item["oid"] not in self.server.storage.objects else {}))
        self._answer({"transfer": "basic", "objects": objects})

    def _verify(self, name, repository):
        asked = json.loads(self.body)
        stored = self.server.storage.objects.get(asked["oid"], b"")
        whole = len(stored) == asked["size"] and hashlib.sha256(stored).hexdigest() == asked["oid"]
        self._answer({}, 200 if whole else 422)

    def _commit(self, name, repository):
        files = dict(repository.files)
        for line in self.body.splitlines():
            key, value = json.loads(line).values()
            if key == "header":
                repository.commits.append(value["summary"])
            elif key == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif key == "lfsFile":
                files[value["path"]] = self.server.storage.objects[value["oid"]]
            else:
                del files[value["path"]]
        repository.files = files
        revision = _revision(repository)
        self._answer({"commitUrl": f"{self.server.address}/{name}/commit/{revision}", "commitOid": revision})

    def _resolve(self, name, repository, path):
        content = repository.files.get(path)
        if repository.gated:
            self._answer({"error": "Access is restricted"}, 403, X_Error_Code="GatedRepo")
            return
        if content is None:
            self._answer({"error": "Entry not found"}, 404, X_Error_Code="EntryNotFound")
            return
        etag = f'"{hashlib.sha256(content).hexdigest()}"'
        self._answer(content=content, ETag=etag, X_Repo_Commit=_revision(repository))


def _revision(repository: Repository) -> str:
    return f"{len(repository.commits):040x}"
