import { createRemoteJWKSet, jwtVerify } from "jose";

const keys = createRemoteJWKSet(new URL("http://127.0.0.1:8080/.well-known/jwks.json"), { cacheMaxAge: 300_000 });
const expected = { issuer: "http://127.0.0.1:8080", audience: "https://api.example.org", typ: "at+jwt",
  algorithms: ["ES256", "EdDSA", "RS256"], requiredClaims: ["exp"], clockTolerance: 5 };

export const verify = async (token) => (await jwtVerify(token, keys, expected)).payload;
