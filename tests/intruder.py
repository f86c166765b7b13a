"""Another web page, and what it can have a browser send to one of our servers."""

from collections.abc import Iterable
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any

from starlette.responses import Response
from support import served

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# A page's own name may mean this machine, and MLflow takes the last two for private addresses.
NAMES = ("evil.example", "192.168.0.1", "10.evil.example")
RESOLVED = f"--host-resolver-rules={','.join(f'MAP {name} 127.0.0.1' for name in NAMES)}"

# Every way in which a page sends a body or opens a WebSocket without asking anybody.
ATTACK = """
async ([address, posts, sockets]) => {
  const answered = [], quiet = () => {};
  for (const [path, body] of posts) {
    for (const mode of ["cors", "no-cors"])
      for (const type of ["application/json", "text/plain"]) {
        const options = { method: "POST", mode, body, headers: { "Content-Type": type } };
        await fetch(address + path, options).then(
          (answer) => answer.ok && answered.push(`${mode} ${type} ${path}`), quiet);
      }
    const [form, frame] = ["form", "iframe"].map((tag) => document.createElement(tag));
    frame.name = "target";
    document.body.append(form, frame);
    Object.assign(form, {
      action: address + path, method: "POST", enctype: "text/plain", target: frame.name });
    const input = form.appendChild(document.createElement("input"));
    // sent as NAME=VALUE, which is JSON
    [input.name, input.value] = [body.slice(0, -1) + ',"x":"', '"}'];
    await new Promise((loaded) => {
      frame.onload = loaded; form.submit(); setTimeout(loaded, 5000);
    });
    form.remove(); frame.remove();
  }
  for (const [path, message] of sockets)
    await new Promise((done) => {
      const socket = new WebSocket(address.replace("http", "ws") + path);
      socket.onopen = () => { answered.push(path); socket.send(message); setTimeout(done, 1000); };
      socket.onerror = done;
    });
  return answered;
}
"""


def statuses(
    port: int, routes: Iterable[tuple[str, str]], **headers: str
) -> dict[int, list[tuple[str, str]]]:
    """The routes (method, path) by the status of the answer to a request with these headers."""
    found: dict[int, list[tuple[str, str]]] = {}
    for method, path in routes:
        connection = HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request(method, path, b"{}", {"Content-Type": "text/plain", **headers})
        found.setdefault(connection.getresponse().status, []).append((method, path))
        connection.close()
    return found


def foreign(port: int) -> list[dict[str, str]]:
    """The headers by which a browser tells of each kind of foreign page."""
    hosts = [{"Host": f"{name}:{port}"} for name in NAMES]
    origins = ["http://evil.example", f"http://evil.example:{port}", "null", "http://127.0.0.1:1"]
    return hosts + [{"Origin": origin} for origin in origins]


def attack(browser: "Browser", port: int, posts: Iterable[Any], sockets: Iterable[Any]) -> set[str]:
    """What a browser that visits foreign pages gets an answer to."""
    answered: set[str] = set()
    with served(Response(media_type="text/html")) as elsewhere:
        for place in (
            f"http://evil.example:{elsewhere}",
            f"http://127.0.0.1:{elsewhere}",
            # what once answered at its own name there is this server now
            *(f"http://{name}:{port}" for name in NAMES),
        ):
            page = browser.new_page()
            page.goto(place)
            own = place if place.endswith(str(port)) else f"http://127.0.0.1:{port}"
            answered.update(page.evaluate(ATTACK, [own, list(posts), list(sockets)]))
            page.close()
    return answered
