"""A client of the registry HTTP API V2 for tests: one connection to loopback, kept alive, and plain replies.

It follows nothing and repairs nothing: one call is one request, but for the uploads, which take two or more.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any
from urllib.parse import quote, urlencode

from quotasim.model.oci import DOCKER_MANIFEST, DOCKER_MANIFEST_LIST, OCI_INDEX, OCI_MANIFEST

from .documents import Document, Payload

ACCEPT = ", ".join([OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_MANIFEST_LIST])
SECONDS = 30.0


@dataclass(frozen=True)
class Reply:
    """What the registry answered; the names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of the errors, in their order; none where the body is not a list of errors."""
        return tuple(error["code"] for error in self._errors())

    @property
    def details(self) -> tuple[Any, ...]:
        """The detail of each error, None for one without."""
        return tuple(error.get("detail") for error in self._errors())

    @property
    def told(self) -> tuple[int, tuple[str, ...]]:
        """The status and the error codes: most of what a test compares."""
        return self.status, self.codes

    @property
    def digest(self) -> str | None:
        """The digest that the registry says the content has."""
        return self.headers.get("docker-content-digest")

    def _errors(self) -> list[dict[str, Any]]:
        if not self.headers.get("content-type", "").startswith("application/json"):
            return []
        found = json.loads(self.body) if self.body else {}
        return found.get("errors", []) if isinstance(found, dict) else []


class Client:
    """The calls, named after what they do. ``reference`` is a tag or a digest; arguments go out unchecked."""

    def __init__(self, host: str, port: int) -> None:
        assert host == "127.0.0.1", host
        self.host, self.port = host, port
        self._connection = HTTPConnection(host, port, timeout=SECONDS)

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        self._connection.close()

    def request(
        self, method: str, path: str, content: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Send one request and read its reply to the end.

        A connection that broke is an error, and the caller's: what was asked may have been done.
        """
        try:
            self._connection.request(method, path, content, dict(headers or {}))
            response = self._connection.getresponse()
            body = response.read()
        except BaseException:
            self._connection.close()  # the next call must not read this one's reply
            raise
        return Reply(response.status, {name.lower(): value for name, value in response.getheaders()}, body)

    def ping(self) -> Reply:
        """Ask whether there is a registry."""
        return self.request("GET", "/v2/")

    # Blobs

    def upload(self, repository: str, content: bytes, digest: str | None = None) -> Reply:
        """Upload a blob in one piece: POST, then PUT. ``digest``: what the PUT claims, by default the truth."""
        begun = self.begin(repository)
        return begun if begun.status != 202 else self.finish(begun, content, digest or _sha256(content))

    def upload_chunks(self, repository: str, chunks: Sequence[bytes], digest: str | None = None) -> Reply:
        """Upload a blob in pieces: POST, a PATCH for each, then an empty PUT. Stop at the first refusal."""
        reply = self.begin(repository)
        for chunk in chunks:
            if reply.status != 202:
                return reply
            reply = self.append(reply, chunk)
        return reply if reply.status != 202 else self.finish(reply, b"", digest or _sha256(b"".join(chunks)))

    def begin(self, repository: str, **query: str) -> Reply:
        """Begin an upload; the reply says where it goes on."""
        asked = f"?{urlencode(query)}" if query else ""
        return self.request("POST", f"/v2/{repository}/blobs/uploads/{asked}", b"")

    def append(self, upload: Reply, chunk: bytes) -> Reply:
        """Add bytes to an upload, given the reply to its last step; the reply says where it goes on."""
        headers = {"Content-Type": "application/octet-stream"}
        return self.request("PATCH", upload.headers["location"], chunk, headers)

    def finish(self, upload: Reply, content: bytes, digest: str) -> Reply:
        """End an upload with its last bytes, and say what digest it has."""
        location = upload.headers["location"]
        joined = "&" if "?" in location else "?"
        headers = {"Content-Type": "application/octet-stream"}
        return self.request("PUT", f"{location}{joined}digest={quote(digest, safe='')}", content, headers)

    def cancel(self, upload: Reply) -> Reply:
        """Give an upload up."""
        return self.request("DELETE", upload.headers["location"])

    def mount(self, repository: str, digest: str, source: str | None) -> Reply:
        """Mount a blob of another repository: 201, or 202 and an upload that nobody ends. None: do not say which."""
        origin = {} if source is None else {"from": source}
        return self.begin(repository, mount=digest, **origin)

    def head_blob(self, repository: str, digest: str) -> Reply:
        """Ask for a blob's headers."""
        return self.request("HEAD", f"/v2/{repository}/blobs/{digest}")

    def get_blob(self, repository: str, digest: str) -> Reply:
        """Fetch a blob."""
        return self.request("GET", f"/v2/{repository}/blobs/{digest}")

    def delete_blob(self, repository: str, digest: str) -> Reply:
        """Remove a blob's link from a repository."""
        return self.request("DELETE", f"/v2/{repository}/blobs/{digest}")

    # Manifests

    def put_manifest(self, repository: str, reference: str, content: bytes, media_type: str) -> Reply:
        """Push a manifest, its parts being there."""
        return self.request("PUT", f"/v2/{repository}/manifests/{reference}", content, {"Content-Type": media_type})

    def get_manifest(self, repository: str, reference: str, accept: str | None = ACCEPT) -> Reply:
        """Fetch a manifest. ``accept`` None sends no such header, which the registry answers in its own ways."""
        headers = {} if accept is None else {"Accept": accept}
        return self.request("GET", f"/v2/{repository}/manifests/{reference}", None, headers)

    def head_manifest(self, repository: str, reference: str, accept: str | None = ACCEPT) -> Reply:
        """Ask for a manifest's headers."""
        headers = {} if accept is None else {"Accept": accept}
        return self.request("HEAD", f"/v2/{repository}/manifests/{reference}", None, headers)

    def delete_manifest(self, repository: str, reference: str) -> Reply:
        """Delete a manifest, by digest; distribution 2.8 refuses a tag."""
        return self.request("DELETE", f"/v2/{repository}/manifests/{reference}")

    # Listings

    def tags(self, repository: str) -> Reply:
        """List the tags of a repository, in no order."""
        return self.request("GET", f"/v2/{repository}/tags/list")

    def catalog(self, **query: str | int) -> Reply:
        """List the repositories."""
        return self.request("GET", f"/v2/_catalog?{urlencode(query)}" if query else "/v2/_catalog")

    # Whole documents

    def send(self, repository: str, document: Document, reference: str | None = None) -> Reply:
        """Put the manifest of a document alone, by its digest unless a tag is given."""
        place = document.digest if reference is None else reference
        return self.put_manifest(repository, place, document.content, document.media_type)

    def push(self, repository: str, document: Document, tag: str | None = None, *, ask: bool = False) -> Reply:
        """Push a document and all that it is made of, the parts first; the reply is the one to its own manifest.

        Every part must be accepted. With ``ask`` a blob is sent only if the repository says that it lacks it, as real
        clients do: on a registry without a cache that leaves the same tree and takes fewer requests.
        """
        for part in document.payloads:
            if not (ask and self.head_blob(repository, part.digest).status == 200):
                self.add(repository, part)
        for child in document.children:
            reply = self.push(repository, child, ask=ask)
            assert reply.status == 201, (child.description, reply)
        return self.send(repository, document, tag)

    def add(self, repository: str, part: Payload) -> None:
        """Upload a blob, which must be accepted."""
        reply = self.upload(repository, part.content, part.digest)
        assert (reply.status, reply.digest) == (201, part.digest), reply


def _sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
