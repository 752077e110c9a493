"""A Django site with simplejwt set up as its documentation says. The tests compare doorward with it.

django_site.py [NAME=VALUE …]: serves on a free port of the loopback interface and prints its URL. The names are settings
of simplejwt, and the values are Python literals. It ends when its standard input is closed. The paths under /control/ do
what an operator would.
"""

import ast
import datetime
import logging
import os
import sys
import tempfile
import threading
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import django
import time_machine
from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.http import Http404, HttpResponse
from django.urls import path

folder = tempfile.TemporaryDirectory(prefix="dw-django-")
given = dict(argument.split("=", 1) for argument in sys.argv[1:])

settings.configure(
    SECRET_KEY="a key that only the tests have, of some length",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    DATABASES={
        "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.path.join(folder.name, "db.sqlite3")}
    },
    MIDDLEWARE=["django.middleware.security.SecurityMiddleware", "django.middleware.common.CommonMiddleware"],
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "rest_framework",
        "rest_framework_simplejwt.token_blacklist",
    ],
    # The comparison does not include the time of a hundred sign-ins, so cheap hashes are enough.
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": [
            given.pop("AUTHENTICATION", "rest_framework_simplejwt.authentication.JWTAuthentication")
        ],
    },
    SIMPLE_JWT={name: ast.literal_eval(value) for name, value in given.items()},
    LOGGING_CONFIG=None,
)
# Django would log every refusal.
logging.disable()
django.setup()
call_command("migrate", verbosity=0)

# These imports only work after the setup.
from django.contrib.auth.models import User  # noqa: E402
from rest_framework.authentication import SessionAuthentication  # noqa: E402
from rest_framework.permissions import DjangoModelPermissions, IsAuthenticated  # noqa: E402
from rest_framework.response import Response  # noqa: E402
from rest_framework.serializers import CharField, Serializer  # noqa: E402
from rest_framework.throttling import SimpleRateThrottle  # noqa: E402
from rest_framework.views import APIView  # noqa: E402
from rest_framework_simplejwt.authentication import JWTAuthentication  # noqa: E402
from rest_framework_simplejwt.views import (  # noqa: E402
    TokenBlacklistView,
    TokenObtainPairView,
    TokenRefreshView,
    TokenVerifyView,
)


class Me(APIView):
    """A protected view, as in simplejwt's documentation."""

    permission_classes = [IsAuthenticated]

    def get(self, request):
        return Response({"username": request.user.username, "id": str(request.user.pk)})


class SessionFirst(Me):
    """A protected view whose first way to authenticate has no challenge."""

    authentication_classes = [SessionAuthentication, JWTAuthentication]


class Note(Serializer):
    """The fields that a note must have."""

    title = CharField(max_length=200)


class Notes(APIView):
    """A view that accepts a body, and has no note of any name."""

    permission_classes = [IsAuthenticated]

    def post(self, request):
        Note(data=request.data).is_valid(raise_exception=True)
        return Response({}, status=201)

    def get(self, request, name):
        raise Http404


class Users(APIView):
    """A view that the signed-in user has no permission for."""

    permission_classes = [DjangoModelPermissions]
    queryset = User.objects.all()

    def post(self, request):
        return Response({})


class Once(SimpleRateThrottle):
    """Allows one request an hour."""

    rate = "1/hour"

    def get_cache_key(self, request, view):
        return "once"


class Throttled(APIView):
    """A view that answers once an hour."""

    permission_classes = []
    throttle_classes = [Once]

    def get(self, request):
        return Response({})


moved = datetime.timedelta()
traveller = None


def control(request, action):
    """Moves the clock, and changes users as an administrator would."""
    global moved, traveller
    name = request.GET.get("user")
    if action == "advance":
        moved += datetime.timedelta(seconds=int(request.GET["seconds"]))
        if traveller:
            traveller.stop()
        traveller = time_machine.travel(datetime.datetime.now(datetime.timezone.utc) + moved, tick=True)
        traveller.start()
    elif action == "create":
        User.objects.create_user(name, password=request.GET["password"])
    elif action in ("disable", "enable"):
        User.objects.filter(username=name).update(is_active=action == "enable")
    elif action == "delete":
        User.objects.get(username=name).delete()
    elif action == "set-password":
        user = User.objects.get(username=name)
        user.set_password(request.GET["password"])
        user.save()
    return HttpResponse(status=204)


urlpatterns = [
    path("api/token/", TokenObtainPairView.as_view()),
    path("api/token/refresh/", TokenRefreshView.as_view()),
    path("api/token/verify/", TokenVerifyView.as_view()),
    path("api/token/blacklist/", TokenBlacklistView.as_view()),
    path("api/me/", Me.as_view()),
    path("api/session-first/", SessionFirst.as_view()),
    path("api/notes/", Notes.as_view()),
    path("api/notes/<name>/", Notes.as_view()),
    path("api/users/", Users.as_view()),
    path("api/throttled/", Throttled.as_view()),
    path("control/<action>/", control),
]


class Server(ThreadingMixIn, WSGIServer):
    """A server with a thread for each connection."""

    daemon_threads = True


class Handler(WSGIRequestHandler):
    """Logs nothing."""

    def log_message(self, *_):
        pass


with make_server("127.0.0.1", 0, get_wsgi_application(), Server, Handler) as server:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    sys.stdin.read()
    server.shutdown()
folder.cleanup()
