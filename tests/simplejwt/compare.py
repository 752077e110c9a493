"""Sends the same requests to a Django site with simplejwt and to doorward, case by case, and compares the answers: the
status, the headers that a client reads, and the body.

compare.py on|rotate DJANGO DOORWARD CONTROL PASSWORD: the URLs of the two servers, the URL that moves doorward's clock,
and the password of doorward's admin. Prints every difference and exits with 1 if there is one.
"""

import re
import sys

import requests
from client import Client, SignedOut

PASSWORD = "an unusual pass phrase"
DETAILS = "application/json"


class Server:
    """One of the two servers, with what its operator can do."""

    def __init__(self, base):
        self.base = base
        self.session = requests.Session()
        self.session.trust_env = False

    def ask(self, method, path, **what):
        """Sends a request with the library requests, as simplejwt's documentation does."""
        return self.session.request(method, self.base + path, timeout=30, allow_redirects=False, **what)

    def post(self, path, body=None, **what):
        if body is not None:
            what["json"] = body
        return self.ask("POST", path, **what)

    def pair(self, username):
        """Signs in and returns both tokens."""
        answer = self.post("/api/token/", {"username": username, "password": PASSWORD})
        assert answer.status_code == 200, answer.text
        return answer.json()


class Django(Server):
    name = "simplejwt"
    protected = "/api/me/"
    notes = "/api/notes/"
    note = "/api/notes/01980000-0000-7000-8000-000000000000/"
    users = "/api/users/"

    def control(self, action, **parameters):
        answer = self.ask("POST", f"/control/{action}/", params=parameters)
        assert answer.status_code == 204, answer.text

    def create(self, user):
        self.control("create", user=user, password=PASSWORD)

    def disable(self, user):
        self.control("disable", user=user)

    def enable(self, user):
        self.control("enable", user=user)

    def delete(self, user):
        self.control("delete", user=user)

    def set_password(self, user, password):
        self.control("set-password", user=user, password=password)

    def advance(self, seconds):
        self.control("advance", seconds=seconds)


class Doorward(Server):
    name = "doorward"
    protected = "/api/v1/me"
    notes = "/api/v1/notes"
    note = "/api/v1/notes/01980000-0000-7000-8000-000000000000"
    users = "/api/v1/users"

    def __init__(self, base, control, password):
        super().__init__(base)
        self.control = control
        self.password = password

    def admin(self, method, path, body=None):
        login = {"username": "admin", "password": self.password}
        access = self.post("/api/v1/auth/login", login).json()["access_token"]
        answer = self.ask(method, path, json=body, headers={"Authorization": f"Bearer {access}"})
        assert answer.status_code < 300, answer.text
        return answer

    def id_of(self, user):
        found = self.admin("GET", f"/api/v1/users?q={user}").json()["items"]
        return next(item["id"] for item in found if item["username"] == user)

    def create(self, user):
        self.admin("POST", "/api/v1/users", {"username": user, "password": PASSWORD, "role": "member"})

    def disable(self, user):
        self.admin("PATCH", f"/api/v1/users/{self.id_of(user)}", {"status": "disabled"})

    def enable(self, user):
        self.admin("PATCH", f"/api/v1/users/{self.id_of(user)}", {"status": "active"})

    def delete(self, user):
        self.admin("DELETE", f"/api/v1/users/{self.id_of(user)}")

    def set_password(self, user, password):
        self.admin("POST", f"/api/v1/users/{self.id_of(user)}/password", {"new_password": password})

    def advance(self, seconds):
        assert self.session.post(f"{self.control}/advance/{seconds}", timeout=30).status_code == 204


def masked(body):
    """Replaces what may differ: tokens, and each parser's own words."""
    if not isinstance(body, dict):
        return body
    body = {name: f"<{name}>" if name in ("access", "refresh") and isinstance(value, str) else value
            for name, value in body.items()}
    if isinstance(body.get("detail"), str):
        body["detail"] = re.sub(r"^((JSON|Multipart form) parse error - ).*", r"\1<why>", body["detail"])
    return body


def seen(answer):
    """Returns what a client sees of an answer."""
    headers = answer.headers
    media_type = headers.get("Content-Type", "").split(";")[0]
    try:
        body = masked(answer.json())
    except ValueError:
        # Pages are compared only by their media type.
        body = None
    allow = sorted(name.strip() for name in headers.get("Allow", "").split(",") if name)
    return {"status": answer.status_code, "challenge": headers.get("WWW-Authenticate"), "allow": allow,
            "type": media_type, "body": body}


def says(status, body, **others):
    """Returns the expected answer of one of the four routes."""
    challenge = 'Bearer realm="api"' if status == 401 else None
    return {"status": status, "challenge": challenge, "allow": ["OPTIONS", "POST"], "type": DETAILS,
            "body": body, **others}


def not_valid(detail):
    return says(401, {"detail": detail, "code": "token_not_valid"})


PAGE_500 = {"status": 500, "challenge": None, "allow": [], "type": "text/html", "body": None}
BLACKLISTED = not_valid("Token is blacklisted")
NO_ACCOUNT = says(401, {"detail": "No active account found for the given token."})
TAKEN_BACK = says(400, {"non_field_errors": ["Token is blacklisted"]})
GOOD = says(200, {})
RENEWED = {"on": says(200, {"access": "<access>"}),
           "rotate": says(200, {"access": "<access>", "refresh": "<refresh>"})}

# Deliberate differences of doorward: the answer of each server, and the reason. All other answers must be
# equal.
ON_PURPOSE = {
    "a password with spaces around it": (
        says(200, {"refresh": "<refresh>", "access": "<access>"}),
        says(401, {"detail": "No active account found with the given credentials"}),
        "a password is taken as it is: its spaces are part of it",
    ),
    "a username in capitals": (
        says(401, {"detail": "No active account found with the given credentials"}),
        says(200, {"refresh": "<refresh>", "access": "<access>"}),
        "names differ by more than their case: nobody can be taken for another",
    ),
    "a lone surrogate": (
        says(400, {"username": ["Surrogate characters are not allowed: U+D800."]}),
        says(400, {"detail": "JSON parse error - <why>"}),
        "it is no Unicode, so the body is no JSON (RFC 8259, section 8.2)",
    ),
    "no content type": (
        says(415, {"detail": 'Unsupported media type "text/plain" in request.'}),
        says(415, {"detail": 'Unsupported media type "" in request.'}),
        "the server under this Django fills in a type that was not sent",
    ),
    "accept: application/xml": (
        says(406, {"detail": "Could not satisfy the request Accept header."}),
        says(200, {"refresh": "<refresh>", "access": "<access>"}),
        "there is JSON alone, whatever is asked for (RFC 9110, section 12.4.1 allows it)",
    ),
    "OPTIONS": (
        None,  # a description of the view
        {"status": 204, "challenge": None, "allow": ["OPTIONS", "POST"], "type": "", "body": None},
        "/openapi.json is the description",
    ),
    **{f"{door} an expired access token": (
        not_valid("Token is expired"),
        not_valid("Token has wrong type"),
        "that it is the wrong one of the two is said first: no fresh one would be taken either",
    ) for door in ("refresh with", "blacklist")},
    # Tokens whose user was disabled or deleted, or whose session has ended.
    "verify the access token of a user who is disabled": (
        GOOD, NO_ACCOUNT, "a token that no resource takes is not called good",
    ),
    "verify the refresh token of a user who is disabled": (
        GOOD, NO_ACCOUNT, "a token that no refresh takes is not called good",
    ),
    "verify the access token of a user who was deleted": (
        GOOD, NO_ACCOUNT, "a token that no resource takes is not called good",
    ),
    "verify the refresh token of a user who was deleted": (
        GOOD, NO_ACCOUNT, "a token that no refresh takes is not called good",
    ),
    "refresh for a user who was deleted": (
        PAGE_500, NO_ACCOUNT, "simplejwt does not catch that the user is not there",
    ),
    "blacklist for a user who was deleted": (
        GOOD, NO_ACCOUNT, "the session ended with the account",
    ),
    "verify an access token after its password was changed": (
        GOOD, TAKEN_BACK, "a change of password ends the sessions, always",
    ),
    "verify a refresh token after its password was changed": (
        GOOD, TAKEN_BACK, "a change of password ends the sessions, always",
    ),
    "refresh after the password was changed": (
        RENEWED, BLACKLISTED, "a change of password ends the sessions, always",
    ),
    "verify the access token of a blacklisted refresh token": (
        GOOD, TAKEN_BACK, "signing out ends the access tokens too",
    ),
}
ON_PURPOSE_IN = {
    "on": {
        "verify a blacklisted refresh token": (
            GOOD, TAKEN_BACK, "without BLACKLIST_AFTER_ROTATION simplejwt's verify does not look at its blacklist",
        ),
    },
    "rotate": {
        "refresh with a spent refresh token at once": (
            BLACKLISTED, RENEWED, "the answer may have been lost, or two tabs have asked: a repeat is forgiven",
        ),
        "verify a spent refresh token": (
            TAKEN_BACK, GOOD, "who holds it may be forgiven: told apart only when it is presented",
        ),
        "refresh with the successor of a replayed one": (
            RENEWED, BLACKLISTED, "one of two has a copy, so the whole session has ended",
        ),
        "blacklist a spent refresh token": (
            BLACKLISTED, GOOD, "whoever signs out is signed out: any genuine token of the session ends it",
        ),
        "refresh with the successor of a blacklisted one": (
            RENEWED, BLACKLISTED, "whoever signs out is signed out: any genuine token of the session ends it",
        ),
    },
}

def of_token(message):
    """Returns simplejwt's refusal of a token at a view."""
    return {"detail": "Given token not valid for any token type", "code": "token_not_valid",
            "messages": [{"token_class": "AccessToken", "token_type": "access", "message": message}]}


NOT_AUTHENTICATED = {"detail": "Authentication credentials were not provided."}
TWO_VALUES = {"detail": "Authorization header must contain two space-delimited values",
              "code": "bad_authorization_header"}

# Resources use doorward's own codes, which are more specific: simplejwt's status and body, and doorward's
# status and code.
RESOURCES = {
    "no credentials": (401, NOT_AUTHENTICATED, 401, "credentials_missing"),
    "another scheme": (401, NOT_AUTHENTICATED, 401, "scheme_unsupported"),
    "Bearer alone": (401, TWO_VALUES, 400, "credentials_malformed"),
    "Bearer and two words": (401, TWO_VALUES, 400, "credentials_malformed"),
    "bearer in small letters": (401, NOT_AUTHENTICATED, 200, None),
    "garbage": (401, of_token("Token is invalid"), 401, "token_malformed"),
    "a forged token": (401, of_token("Token is invalid"), 401, "token_signature_invalid"),
    "a refresh token": (401, of_token("Token has wrong type"), 401, "token_type_mismatch"),
    "no permission": (
        403, {"detail": "You do not have permission to perform this action."}, 403, "permission_denied"),
    "nothing of this id": (404, {"detail": "Not found."}, 404, "not_found"),
    "no JSON": (400, {"detail": "JSON parse error - <why>"}, 400, "malformed_json"),
    "a field is missing": (400, {"title": ["This field is required."]}, 422, "validation_failed"),
    "another media type": (
        415, {"detail": 'Unsupported media type "text/plain" in request.'}, 415, "unsupported_media_type"),
    "another method": (405, {"detail": 'Method "DELETE" not allowed.'}, 405, "method_not_allowed"),
    "a user who is disabled": (
        401, {"detail": "User is inactive", "code": "user_inactive"}, 401, "account_disabled"),
    "signed out": (200, None, 401, "session_ended"),
    "an expired token": (401, of_token("Token is expired"), 401, "token_expired"),
    "a user who was deleted": (
        401, {"detail": "User not found", "code": "user_not_found"}, 401, "account_deleted"),
    # CHECK_REVOKE_TOKEN is on together with ROTATE_REFRESH_TOKENS.
    "the password was changed": {
        "on": (200, None, 401, "session_ended"),
        "rotate": (401, {"detail": "The user's password has been changed.", "code": "password_changed"},
                   401, "session_ended"),
    },
}
# Answers of simplejwt and Django REST framework that doorward has no equivalent of.
OF_DJANGO = {
    "no credentials where a session would be taken first": (403, NOT_AUTHENTICATED),
    "asked too often": (429, {"detail": "Request was throttled. Expected available in 3600 seconds."}),
}

OBTAIN, REFRESH, VERIFY, BLACKLIST = (f"/api/token/{rest}" for rest in ("", "refresh/", "verify/", "blacklist/"))


def raw(text, content_type="application/json"):
    """Returns a request with exactly this body."""
    return {"data": text, "headers": {"Content-Type": content_type} if content_type else {}}


def sign_ins(server):
    server.create("alice")
    server.create("ivan")
    server.disable("ivan")
    good = {"username": "alice", "password": PASSWORD}
    post = lambda body=None, **what: server.post(OBTAIN, body, **what)  # noqa: E731
    yield "the right password", post(good)
    yield "a wrong password", post({**good, "password": "wrong, but long enough"})
    yield "an unknown user", post({**good, "username": "nobody"})
    yield "a disabled user", post({**good, "username": "ivan"})
    yield "a disabled user's wrong password", post({"username": "ivan", "password": "wrong, but long enough"})
    yield "a name with spaces around it", post({**good, "username": " alice\t"})
    yield "a password with spaces around it", post({**good, "password": f" {PASSWORD} "})
    yield "a username in capitals", post({**good, "username": "ALICE"})
    yield "a field too many", post({**good, "otp": "1"})
    yield "an Authorization header that is no good", post(good, headers={"Authorization": "Bearer nonsense"})
    yield "nothing", post()
    yield "no field", post({})
    yield "one field", post({"username": "alice"})
    yield "blank fields", post({"username": "", "password": "  "})
    yield "null fields", post({"username": None, "password": None})
    yield "a list and an object", post({"username": ["alice"], "password": {"a": 1}})
    yield "a boolean and a number", post({"username": True, "password": 5})
    yield "numbers", post({"username": 7, "password": 1.5})
    yield "U+0000", post({"username": "a\0b", "password": PASSWORD})
    yield "a lone surrogate", post(**raw('{"username": "\\ud800", "password": "x"}'))
    for what in ("[]", '"text"', "3", "1.5", "true", "null"):
        yield f"JSON that is {what}", post(**raw(what))
    for what in ("{", "nonsense", '{"username": NaN}', '{"username": "alice"} {}', "\ufeff{}"):
        yield f"no JSON: {what}", post(**raw(what.encode()))
    yield "no UTF-8", post(**raw(b'{"username": "\xff"}'))
    yield "a JSON body with a charset", post(**raw('{"username": "alice"}', "Application/JSON; charset=utf-8"))
    yield "a form", post(data=good)
    yield "a blank form", post(data={"username": "", "password": ""})
    yield "half a form", post(data={"username": "alice"})
    yield "a form with a field twice", post(data=[("username", "nobody"), *good.items()])
    yield "a multipart form", post(files={name: (None, value) for name, value in good.items()})
    yield "a multipart form with a file", post(files={"username": ("a.txt", b"alice"), "password": (None, "x")})
    yield "a multipart form without a boundary", post(**raw("x", "multipart/form-data"))
    yield "a multipart form of nothing", post(**raw("x", "multipart/form-data; boundary=abc"))
    for kind in ("text/plain", "application/xml", "application/vnd.api+json", "text/plain; charset=utf-8"):
        yield f"a body of the type {kind}", post(**raw("{}", kind))
        yield f"nothing of the type {kind}", post(**raw("", kind))
    yield "no content type", post(**raw(b"{}", None))
    yield "no JSON at all", post(**raw(""))
    yield "accept: application/xml", post(good, headers={"Accept": "application/xml"})
    yield "accept: */*, first of all JSON", post(good, headers={"Accept": "application/json, text/plain, */*"})
    for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE", "PROPFIND", "OPTIONS"):
        yield method, server.ask(method, OBTAIN)


def broken_tokens(server):
    pair = server.pair("alice")
    for path, field in ((REFRESH, "refresh"), (VERIFY, "token"), (BLACKLIST, "refresh")):
        forged = pair["refresh"][:-4] + ("AAAA" if not pair["refresh"].endswith("AAAA") else "BBBB")
        of_access = pair["access"][:-8] + "AAAAAAAA"
        for what, value in {"garbage": "abc", "three dots": "a.b.c", "a blank": "", "spaces": "  ", "null": None,
                            "a list": [pair["refresh"]], "a number": 5, "a boolean": True,
                            "a forged refresh token": forged, "a forged access token": of_access}.items():
            yield f"{path} {what}", server.post(path, {field: value})
        yield f"{path} no field", server.post(path, {})
        yield f"{path} nothing", server.post(path)
        yield f"{path} another field", server.post(path, {"jwt": pair["refresh"]})
        yield f"{path} no JSON", server.post(path, **raw("{"))
        yield f"{path} JSON that is a list", server.post(path, [])
        yield f"{path} a form", server.post(path, data={field: "abc"})
        yield f"{path} another type", server.post(path, **raw("abc", "text/plain"))
        for method in ("GET", "PUT", "DELETE"):
            yield f"{path} {method}", server.ask(method, path)


def lives(server):
    """Uses a pair of tokens from the sign-in to its end."""
    pair = server.pair("alice")
    yield "refresh", server.post(REFRESH, {"refresh": pair["refresh"]})
    pair = server.pair("alice")
    yield "refresh with spaces around", server.post(REFRESH, {"refresh": f" {pair['refresh']}\n"})
    pair = server.pair("alice")
    yield "refresh with a form", server.post(REFRESH, data={"refresh": pair["refresh"]})
    pair = server.pair("alice")
    access, refresh = pair["access"], pair["refresh"]
    yield "verify an access token", server.post(VERIFY, {"token": access})
    yield "verify a refresh token", server.post(VERIFY, {"token": refresh})
    yield "refresh with an access token", server.post(REFRESH, {"refresh": access})
    yield "blacklist an access token", server.post(BLACKLIST, {"refresh": access})
    server.advance(301)
    yield "verify an expired access token", server.post(VERIFY, {"token": access})
    yield "refresh with an expired access token", server.post(REFRESH, {"refresh": access})
    yield "blacklist an expired access token", server.post(BLACKLIST, {"refresh": access})
    yield "verify a refresh token after five minutes", server.post(VERIFY, {"token": refresh})
    answer = server.post(REFRESH, {"refresh": refresh})
    yield "refresh after five minutes", answer
    access, refresh = answer.json()["access"], answer.json().get("refresh", refresh)
    yield "blacklist", server.post(BLACKLIST, {"refresh": refresh})
    yield "blacklist a blacklisted refresh token", server.post(BLACKLIST, {"refresh": refresh})
    yield "refresh with a blacklisted refresh token", server.post(REFRESH, {"refresh": refresh})
    yield "verify a blacklisted refresh token", server.post(VERIFY, {"token": refresh})
    yield "verify the access token of a blacklisted refresh token", server.post(VERIFY, {"token": access})
    refresh = server.pair("alice")["refresh"]
    server.advance(31 * 86_400)
    yield "verify an expired refresh token", server.post(VERIFY, {"token": refresh})
    yield "refresh with an expired refresh token", server.post(REFRESH, {"refresh": refresh})
    yield "blacklist an expired refresh token", server.post(BLACKLIST, {"refresh": refresh})


def users(server):
    """Uses a pair of tokens after its user was changed."""
    server.create("dora")
    pair = server.pair("dora")
    access, refresh = pair["access"], pair["refresh"]
    server.disable("dora")
    yield "refresh for a user who is disabled", server.post(REFRESH, {"refresh": refresh})
    yield "verify the access token of a user who is disabled", server.post(VERIFY, {"token": access})
    yield "verify the refresh token of a user who is disabled", server.post(VERIFY, {"token": refresh})
    server.enable("dora")
    yield "refresh for a user who is enabled again", server.post(REFRESH, {"refresh": refresh})
    refresh = server.pair("dora")["refresh"]
    server.disable("dora")
    yield "blacklist for a user who is disabled", server.post(BLACKLIST, {"refresh": refresh})
    server.enable("dora")
    pair = server.pair("dora")
    server.set_password("dora", "another unusual phrase")
    yield "verify an access token after its password was changed", server.post(VERIFY, {"token": pair["access"]})
    yield "verify a refresh token after its password was changed", server.post(VERIFY, {"token": pair["refresh"]})
    yield "refresh after the password was changed", server.post(REFRESH, {"refresh": pair["refresh"]})
    server.create("eve")
    pair = server.pair("eve")
    server.delete("eve")
    yield "verify the access token of a user who was deleted", server.post(VERIFY, {"token": pair["access"]})
    yield "verify the refresh token of a user who was deleted", server.post(VERIFY, {"token": pair["refresh"]})
    yield "refresh for a user who was deleted", server.post(REFRESH, {"refresh": pair["refresh"]})
    yield "blacklist for a user who was deleted", server.post(BLACKLIST, {"refresh": pair["refresh"]})
    yield "the password of a user who was deleted", server.post(OBTAIN, {"username": "eve", "password": PASSWORD})


def again_and_again(server):
    """Repeats a refresh. Without rotation the refresh token stays valid."""
    refresh = server.pair("alice")["refresh"]
    for turn in range(3):
        yield f"the same refresh token, time {turn}", server.post(REFRESH, {"refresh": refresh})
        server.advance(3_600)


def rotations(server):
    first = server.pair("alice")["refresh"]
    second = server.post(REFRESH, {"refresh": first}).json()
    yield "verify a spent refresh token", server.post(VERIFY, {"token": first})
    yield "refresh with a spent refresh token at once", server.post(REFRESH, {"refresh": first})
    # The answer has arrived, since its access token is used.
    answer = server.ask("GET", server.protected, headers={"Authorization": f"Bearer {second['access']}"})
    assert answer.status_code == 200, answer.text
    server.advance(60)
    yield "refresh with a spent refresh token whose successor is in use", server.post(REFRESH, {"refresh": first})
    yield "refresh with the successor of a replayed one", server.post(REFRESH, {"refresh": second["refresh"]})
    first = server.pair("alice")["refresh"]
    second = server.post(REFRESH, {"refresh": first}).json()["refresh"]
    yield "blacklist a spent refresh token", server.post(BLACKLIST, {"refresh": first})
    yield "refresh with the successor of a blacklisted one", server.post(REFRESH, {"refresh": second})


def resources(server):
    server.create("rosa")
    pair = server.pair("rosa")
    access = pair["access"]
    ask = lambda header: server.ask("GET", server.protected, headers={"Authorization": header})  # noqa: E731
    bearer = {"Authorization": f"Bearer {access}"}
    yield "no credentials", server.ask("GET", server.protected)
    yield "another scheme", ask("Token abc")
    yield "Bearer alone", ask("Bearer")
    yield "Bearer and two words", ask("Bearer a b")
    yield "bearer in small letters", ask(f"bearer {access}")
    yield "garbage", ask("Bearer abc")
    yield "a forged token", ask(f"Bearer {access[:-8]}AAAAAAAA")
    yield "a refresh token", ask(f"Bearer {pair['refresh']}")
    yield "no permission", server.post(server.users, {}, headers=bearer)
    yield "nothing of this id", server.ask("GET", server.note, headers=bearer)
    yield "no JSON", server.ask("POST", server.notes, data="{", headers={**bearer, "Content-Type": "application/json"})
    yield "a field is missing", server.post(server.notes, {}, headers=bearer)
    yield "another media type", server.ask(
        "POST", server.notes, data="x", headers={**bearer, "Content-Type": "text/plain"})
    yield "another method", server.ask("DELETE", server.notes, headers=bearer)
    server.disable("rosa")
    yield "a user who is disabled", ask(f"Bearer {access}")
    server.enable("rosa")
    pair = server.pair("rosa")
    assert server.post(BLACKLIST, {"refresh": pair["refresh"]}).status_code == 200
    yield "signed out", ask(f"Bearer {pair['access']}")
    access = server.pair("rosa")["access"]
    server.advance(301)
    yield "an expired token", ask(f"Bearer {access}")
    access = server.pair("rosa")["access"]
    server.set_password("rosa", "another unusual phrase")
    yield "the password was changed", ask(f"Bearer {access}")
    server.create("ruth")
    access = server.pair("ruth")["access"]
    server.delete("ruth")
    yield "a user who was deleted", ask(f"Bearer {access}")


def compare_resources(mode, ours, theirs):
    """Checks that each server answers with its own codes."""
    wrong = []
    answers = [dict(resources(server)) for server in (theirs, ours)]
    if any(list(each) != list(answers[0]) for each in answers) or set(answers[0]) != set(RESOURCES):
        wrong.append(f"the cases of resources are not those that are known: {list(answers[0])}")
    for name, expected in RESOURCES.items():
        status, body, our_status, code = with_mode(expected, mode)
        found = seen(answers[0][name])
        if (found["status"], found["body"]) != (status, body if status != 200 else found["body"]):
            wrong.append(f"{name}: simplejwt {found}")
        found = seen(answers[1][name])
        if (found["status"], found["body"].get("code")) != (our_status, code):
            wrong.append(f"{name}: doorward {found}")
    theirs.ask("GET", "/api/throttled/")
    answers = (theirs.ask("GET", "/api/session-first/"), theirs.ask("GET", "/api/throttled/"))
    for (name, expected), answer in zip(OF_DJANGO.items(), answers, strict=True):
        found = seen(answer)
        if (found["status"], found["body"]) != expected:
            wrong.append(f"{name}: simplejwt {found}")
    return wrong


def work(server):
    """Uses the client in a typical way, and returns what it saw."""
    notes = []
    client = Client(server.base)
    try:
        client.sign_in("alice", "wrong, but long enough")
    except SignedOut as why:
        notes.append(f"not signed in: {why}")
    client.sign_in("alice", PASSWORD)
    notes.append(client.get(server.protected)["username"])
    notes.append(f"both good: {client.is_good(client.access)} {client.is_good(client.refresh_token)}")
    for _ in range(3):
        before = client.access
        server.advance(301)
        notes.append(f"still good: {client.is_good(client.access)}")
        notes.append(client.get(server.protected)["username"])
        notes.append(f"refreshed: {client.access != before}")
    client.sign_out()
    server.advance(301)
    try:
        client.get(server.protected)
    except SignedOut as why:
        notes.append(f"signed out: {why}")
    client.sign_in("alice", PASSWORD)
    notes.append(client.get(server.protected)["username"])
    return notes


def with_mode(expected, mode):
    return expected[mode] if isinstance(expected, dict) and mode in expected else expected


def compare(mode, ours, theirs):
    """Returns every difference in words."""
    purpose = {**ON_PURPOSE, **ON_PURPOSE_IN[mode]}
    groups = (sign_ins, broken_tokens, lives, users, again_and_again if mode == "on" else rotations)
    met, wrong = set(), []
    for group in groups:
        answers = {server.name: [(name, seen(answer)) for name, answer in group(server)] for server in (theirs, ours)}
        for (name, expected), (other, found) in zip(answers["simplejwt"], answers["doorward"], strict=True):
            assert name == other, f"{name} beside {other}"
            assert name not in met, f"two cases are called {name}"
            met.add(name)
            if name not in purpose:
                if expected != found:
                    wrong.append(f"{name}:\n  simplejwt {expected}\n  doorward  {found}")
                continue
            for server, of, told in zip(("simplejwt", "doorward"), purpose[name], (expected, found)):
                if of is not None and with_mode(of, mode) != told:
                    wrong.append(f"{name}, which differs on purpose:\n  {server} {told}\n  known as {with_mode(of, mode)}")
    wrong += [f"{name}: differs on purpose, and nobody asks" for name in purpose if name not in met]
    wrong += compare_resources(mode, ours, theirs)
    days = [work(server) for server in (theirs, ours)]
    if days[0] != days[1]:
        wrong.append(f"a client's day:\n  simplejwt {days[0]}\n  doorward  {days[1]}")
    return wrong


def main():
    mode, django, doorward, control, password = sys.argv[1:]
    wrong = compare(mode, Doorward(doorward, control, password), Django(django))
    print("\n".join(wrong))
    sys.exit(1 if wrong else 0)


main()
