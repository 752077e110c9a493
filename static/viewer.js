// Starts the API viewer. Its requests carry the CSRF token of the session, if the browser is signed in.
"use strict";

async function csrfToken() {
  const response = await fetch("/api/v1/me");
  return response.ok ? (await response.json()).credential.csrf_token : null;
}

const place = document.getElementById("viewer");
SwaggerUIBundle({
  url: place.dataset.document,
  domNode: place,
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: -1,
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
  requestInterceptor: async (request) => {
    // The document names the public URL. The viewer asks the address at which it was opened.
    const url = new URL(request.url, location.href);
    request.url = location.origin + url.pathname + url.search;
    const isSafe = ["GET", "HEAD", "OPTIONS"].includes((request.method || "GET").toUpperCase());
    if (!isSafe && !request.headers.Authorization) {
      const token = await csrfToken();
      if (token) request.headers["X-CSRF-Token"] = token;
    }
    return request;
  },
});
