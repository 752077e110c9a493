import jwt  # PyJWT[crypto]

keys = jwt.PyJWKClient("http://127.0.0.1:8080/.well-known/jwks.json")  # caches them for 5 minutes
expected = {"issuer": "http://127.0.0.1:8080", "audience": "https://api.example.org", "leeway": 5}

def verify(token):
    key = keys.get_signing_key_from_jwt(token)
    good = jwt.decode_complete(token, key, algorithms=[key.algorithm_name], options={"require": ["exp"]}, **expected)
    if good["header"].get("typ") != "at+jwt":
        raise jwt.InvalidTokenError("this is not an access token")
    return good["payload"]
