"""A client of doorward. It signs in, sends requests, refreshes automatically, and says when and why the
user must sign in again. It needs `requests`. Any number of threads can share one Doorward.
"""

import random
import threading
import time
from http.cookiejar import DefaultCookiePolicy

import requests

LOGIN = "/api/v1/auth/login"
REFRESH = "/api/v1/auth/refresh"
LOGOUT = "/api/v1/auth/logout"
STEP_UP = "/api/v1/auth/step-up"
TRIES = 4  # attempts for one request
LONGEST_WAIT = 30  # seconds; a refusal with a longer wait is raised immediately
TIMEOUT = (5, 30)  # seconds to connect, and between two bytes of the answer


class Refused(Exception):
    """doorward refused the request. `action` is what to do next; `problem` is the whole refusal."""

    def __init__(self, problem):
        super().__init__(f"{problem['detail']} ({problem['code']}, request {problem['request_id']})")
        self.problem = problem
        self.code = problem["code"]
        self.action = problem["action"]
        self.terminal = problem["terminal"]


class SignInAgain(Refused):
    """The user must sign in again; the text says why."""


class Doorward:
    def __init__(self, base, refresh_token=None, save=lambda refresh_token: None):
        """`save` stores the refresh token for the next start; with None it deletes the stored token."""
        self._base, self._save = base.rstrip("/"), save
        self._refresh_token, self._access_token, self._refresh_at = refresh_token, None, 0.0
        self._lock = threading.Lock()  # one refresh at a time; the others wait and use its result
        self._http = requests.Session()
        self._http.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # threads must not share cookies

    def sign_in(self, username, password, **more):
        """`more`: `device`, a name in the list of sessions; `scope`, to request fewer permissions."""
        with self._lock:
            self._hold(self._ask("POST", LOGIN, json={"username": username, "password": password, **more}).json())

    def call(self, method, path, **options):
        """Returns a successful answer. `options` are those of requests; a body must be one that can be sent twice."""
        refused_token = None
        for is_last in (False, True):
            access_token = self._access(refused_token)
            try:
                return self._ask(method, path, access_token, **options)
            except Refused as refused:
                if refused.terminal:
                    self._forget(access_token)
                if is_last or refused.action != "refresh":
                    raise
                refused_token = access_token

    def step_up(self, password):
        """Use this when `action` is `step_up`; then call again."""
        answer = self.call("POST", STEP_UP, json={"password": password})
        with self._lock:
            self._hold(answer.json())

    def sign_out(self):
        with self._lock:
            if self._refresh_token:
                self._ask("POST", LOGOUT, json={"refresh_token": self._refresh_token})
            self._drop()

    def _access(self, refused_token):
        """Returns the access token, refreshed if it is old or was refused; None if no one is signed in."""
        with self._lock:
            is_stale = self._access_token == refused_token or time.monotonic() >= self._refresh_at
            if self._refresh_token and is_stale:
                self._refresh()
            return self._access_token

    def _refresh(self):
        try:
            answer = self._ask("POST", REFRESH, json={"refresh_token": self._refresh_token})
        except Refused as refused:
            if refused.terminal:
                self._drop()
            raise
        self._hold(answer.json())

    def _hold(self, tokens):
        self._save(tokens["refresh_token"])  # before the new access token is used
        life = tokens["expires_in"]
        self._refresh_at = time.monotonic() + life - min(30, life / 10)
        self._refresh_token, self._access_token = tokens["refresh_token"], tokens["access_token"]

    def _forget(self, access_token):
        with self._lock:
            if access_token and access_token == self._access_token:
                self._drop()

    def _drop(self):
        self._refresh_token, self._access_token, self._refresh_at = None, None, 0.0
        self._save(None)

    def _ask(self, method, path, access_token=None, **options):
        """Sends a request, and retries it if that is safe."""
        is_repeatable = method in ("GET", "HEAD") or path in (REFRESH, LOGOUT)
        for tries_left in reversed(range(TRIES)):
            try:
                answer = self._http.request(
                    method, self._base + path, auth=_bearer(access_token), timeout=TIMEOUT, allow_redirects=False, **options
                )
                problem = _problem(answer)
                if not problem:
                    answer.raise_for_status()
                    return answer
                failure = (SignInAgain if problem["action"] == "login" else Refused)(problem)
                # Without the database, it is unknown whether a change was made.
                again = failure.action == "wait" and (is_repeatable or failure.code != "database_unavailable")
                wait = _retry_after(answer)
            except requests.RequestException as fault:  # no answer from doorward: the user stays signed in
                failure, again, wait = fault, is_repeatable, 1
            if not again or not tries_left or wait > LONGEST_WAIT:
                raise failure
            time.sleep(wait + random.random())  # so that not all clients retry at the same time


def _bearer(access_token):
    def authorize(request):  # passed as `auth`, so that requests does not use ~/.netrc instead
        if access_token:
            request.headers["Authorization"] = f"Bearer {access_token}"
        return request

    return authorize


def _problem(answer):
    if answer.headers.get("Content-Type", "").startswith("application/problem+json"):
        return answer.json()


def _retry_after(answer):
    seconds = answer.headers.get("Retry-After", "")
    return int(seconds) if seconds.isdecimal() else 2


if __name__ == "__main__":
    import sys

    client = Doorward(sys.argv[1])
    client.sign_in(sys.argv[2], sys.stdin.readline().rstrip("\n"), device="client.py")
    print(client.call("GET", "/api/v1/me").text)
    client.sign_out()
