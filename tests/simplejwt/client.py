"""A client as in simplejwt's documentation. It knows nothing of doorward."""

import requests


class SignedOut(Exception):
    """The refresh token is no longer valid, so the user must sign in again."""


class Client:
    """Stores a pair of tokens, and refreshes when its access token is refused."""

    def __init__(self, base):
        self.base = base
        self.access = None
        self.refresh_token = None
        self.session = requests.Session()
        self.session.trust_env = False

    def _post(self, path, body):
        return self.session.post(self.base + path, json=body, timeout=30)

    def sign_in(self, username, password):
        """POST /api/token/"""
        answer = self._post("/api/token/", {"username": username, "password": password})
        if answer.status_code == 401:
            raise SignedOut(answer.json()["detail"])
        answer.raise_for_status()
        self.access = answer.json()["access"]
        self.refresh_token = answer.json()["refresh"]

    def refresh(self):
        """POST /api/token/refresh/"""
        answer = self._post("/api/token/refresh/", {"refresh": self.refresh_token})
        if answer.status_code == 401:
            assert answer.json()["code"] == "token_not_valid", answer.text
            raise SignedOut(answer.json()["detail"])
        answer.raise_for_status()
        self.access = answer.json()["access"]
        # The answer has one if ROTATE_REFRESH_TOKENS is set.
        self.refresh_token = answer.json().get("refresh", self.refresh_token)

    def get(self, path):
        """Reads a protected view."""
        answer = self._get(path)
        if answer.status_code == 401:
            self.refresh()
            answer = self._get(path)
        answer.raise_for_status()
        return answer.json()

    def _get(self, path):
        headers = {"Authorization": f"Bearer {self.access}"}
        return self.session.get(self.base + path, headers=headers, timeout=30)

    def is_good(self, token):
        """POST /api/token/verify/"""
        return self._post("/api/token/verify/", {"token": token}).status_code == 200

    def sign_out(self):
        """POST /api/token/blacklist/"""
        self._post("/api/token/blacklist/", {"refresh": self.refresh_token}).raise_for_status()
