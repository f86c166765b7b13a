"""Another web page, and what it can have a browser send to one of our servers."""

from http.client import HTTPConnection

# A page's own name may mean this machine, and MLflow takes the last two for private addresses.
NAMES = ("evil.example", "192.168.0.1", "10.evil.example")


def statuses(port, routes, **headers):
    """The routes (method, path) by the status of the answer to a request with these headers."""
    by_status = {}
    for method, path in routes:
        connection = HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request(method, path, b"{}", {"Content-Type": "text/plain", **headers})
        by_status.setdefault(connection.getresponse().status, []).append((method, path))
        connection.close()
    return by_status


def foreign(port):
    """The headers by which a browser tells of each kind of foreign page."""
    hosts = [{"Host": f"{name}:{port}"} for name in NAMES]
    origins = ["http://evil.example", f"http://evil.example:{port}", "null", "http://127.0.0.1:1"]
    return hosts + [{"Origin": origin} for origin in origins]
