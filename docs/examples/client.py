"""A client of doorward. It signs in, calls, refreshes by itself, and says when the user must sign in
again, and why. It needs `requests`. Any number of threads may share one Doorward.
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
TRIES = 4  # how often one thing is asked for
LONGEST_WAIT = 30  # seconds; who is told to wait longer hears of it at once
TIMEOUT = (5, 30)  # seconds to connect, and without a byte of the answer


class Refused(Exception):
    """doorward said no. `action` is what to do next; `problem` is all that it said."""

    def __init__(self, problem):
        super().__init__(f"{problem['detail']} ({problem['code']}, request {problem['request_id']})")
        self.problem = problem
        self.code = problem["code"]
        self.action = problem["action"]
        self.terminal = problem["terminal"]


class SignInAgain(Refused):
    """Nothing but a sign-in by the user helps; the text says why."""


class Doorward:
    def __init__(self, base, refresh_token=None, save=lambda refresh_token: None):
        """`save` puts the refresh token where the next start finds it; with None it deletes what it put there."""
        self._base, self._save = base.rstrip("/"), save
        self._refresh_token, self._access_token, self._refresh_at = refresh_token, None, 0.0
        self._lock = threading.Lock()  # one refresh in flight: who comes second finds it done
        self._http = requests.Session()
        self._http.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # nothing that threads would share

    def sign_in(self, username, password, **more):
        """`more`: `device`, a name in the list of sessions; `scope`, to hold less than the user may."""
        with self._lock:
            self._hold(self._ask("POST", LOGIN, json={"username": username, "password": password, **more}).json())

    def call(self, method, path, **options):
        """An answer that is no refusal. `options` are those of requests; a body is one that can be sent twice."""
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
        """What to do when `action` is `step_up`; then call again."""
        answer = self.call("POST", STEP_UP, json={"password": password})
        with self._lock:
            self._hold(answer.json())

    def sign_out(self):
        with self._lock:
            if self._refresh_token:
                self._ask("POST", LOGOUT, json={"refresh_token": self._refresh_token})
            self._drop()

    def _access(self, refused_token):
        """The access token, refreshed if it is old or the one refused; None when nobody is signed in."""
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
        """Asks, and asks again where that helps and does nothing twice."""
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
                # With the database away nobody can say whether a change was still made.
                again = failure.action == "wait" and (is_repeatable or failure.code != "database_unavailable")
                wait = _retry_after(answer)
            except requests.RequestException as fault:  # no answer, or one that is not doorward's: nobody is signed out
                failure, again, wait = fault, is_repeatable, 1
            if not again or not tries_left or wait > LONGEST_WAIT:
                raise failure
            time.sleep(wait + random.random())  # not all clients at the same moment


def _bearer(access_token):
    def authorize(request):  # given as `auth`, so that no ~/.netrc puts a password in its place
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
