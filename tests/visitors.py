"""The demo site as its visitors use it: logging in, cookies, the CSRF token, JSON."""

import json
import urllib.error
import urllib.request
from http.cookiejar import CookieJar
from urllib.parse import urlencode

from tests.site import Site


class DemoSite(Site):
    """A site whose helpers fail on anything but success."""

    def open(self):
        """Make the database and start; returns the site."""
        self.prepare()
        self.start()
        return self

    def push(self, stream_id, body, token=None, **headers):
        """Push line protocol, which must be taken."""
        status, answer = super().push(stream_id, body, token, **headers)
        assert status == 200, answer

    def login(self, username="demo", password="demo"):
        """Return a `Visitor` with a session."""
        visitor = Visitor(self.url)
        visitor.request("GET", "/accounts/login/")
        form = {"username": username, "password": password, "csrfmiddlewaretoken": visitor.cookie("csrftoken")}
        status, _ = visitor.send("POST", "/accounts/login/", urlencode(form).encode(), {})
        assert status == 200
        assert visitor.cookie("sessionid")
        return visitor

    def close(self):
        """Stop; nothing may have gone wrong on the way."""
        self.stop()
        assert "Traceback" not in self.log, self.log


class Visitor:
    """A browser's worth of HTTP. Answers are (status, body), JSON where it is JSON."""

    def __init__(self, url):
        self.url = url
        self.cookies = CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))

    def cookie(self, name):
        """The value of a cookie, "" when there is none."""
        return next((each.value for each in self.cookies if each.name == name), "")

    def request(self, method, path, data=None, headers=None):
        """Send a request, with JSON when there is data."""
        all_headers = {"X-CSRFToken": self.cookie("csrftoken"), **(headers or {})}
        if data is not None:
            all_headers["Content-Type"] = "application/json"
        return self.send(method, path, None if data is None else json.dumps(data).encode(), all_headers)

    def send(self, method, path, body, headers):
        """Send bytes."""
        request = urllib.request.Request(self.url + path, data=body, headers=headers, method=method)
        try:
            response = self.opener.open(request, timeout=20)
        except urllib.error.HTTPError as error:
            response = error
        with response:
            text = response.read().decode()
            is_json = "json" in (response.headers.get("Content-Type") or "")
            return response.status, json.loads(text) if is_json and text else text
