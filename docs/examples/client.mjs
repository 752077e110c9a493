// A client of doorward. It signs in, sends requests, refreshes automatically, and says when and why the
// user must sign in again. It needs Node 18 or later, or a browser, and nothing else.

const LOGIN = "/api/v1/auth/login";
const REFRESH = "/api/v1/auth/refresh";
const LOGOUT = "/api/v1/auth/logout";
const STEP_UP = "/api/v1/auth/step-up";
const TRIES = 4; // attempts for one request
const LONGEST_WAIT = 30; // seconds; a refusal with a longer wait is thrown immediately
const TIMEOUT = 30_000; // milliseconds for a whole answer

/** doorward refused the request. `action` is what to do next; `problem` is the whole refusal. */
export class Refused extends Error {
  constructor(problem) {
    super(`${problem.detail} (${problem.code}, request ${problem.request_id})`);
    this.name = new.target.name;
    this.problem = problem;
    this.code = problem.code;
    this.action = problem.action;
    this.terminal = problem.terminal;
  }
}

/** The user must sign in again; the message says why. */
export class SignInAgain extends Refused {}

export class Doorward {
  #base;
  #save;
  #refreshToken;
  #accessToken = null;
  #refreshAt = 0;
  #refreshing = null; // one refresh at a time; the others wait for this promise

  /** `save` stores the refresh token for the next start; with null it deletes the stored token. */
  constructor(base, { refreshToken = null, save = async () => {} } = {}) {
    this.#base = base.replace(/\/+$/, "");
    this.#refreshToken = refreshToken;
    this.#save = save;
  }

  /** `more`: `device`, a name in the list of sessions; `scope`, to request fewer permissions. */
  async signIn(username, password, more = {}) {
    await this.#refreshing?.catch(() => {});
    const answer = await this.#ask("POST", LOGIN, { json: { username, password, ...more } });
    await this.#hold(answer.body);
  }

  /** Returns `{ status, headers, body }` of a successful answer; `json` is the body to send. */
  async call(method, path, { json, headers } = {}) {
    let refusedToken;
    for (const isLast of [false, true]) {
      const accessToken = await this.#access(refusedToken);
      try {
        return await this.#ask(method, path, { json, headers, accessToken });
      } catch (error) {
        if (error.terminal && accessToken && accessToken === this.#accessToken) await this.#drop();
        if (isLast || error.action !== "refresh") throw error;
        refusedToken = accessToken;
      }
    }
  }

  /** Use this when `action` is `step_up`; then call again. */
  async stepUp(password) {
    const answer = await this.call("POST", STEP_UP, { json: { password } });
    await this.#refreshing?.catch(() => {});
    await this.#hold(answer.body);
  }

  async signOut() {
    await this.#refreshing?.catch(() => {});
    if (this.#refreshToken) await this.#ask("POST", LOGOUT, { json: { refresh_token: this.#refreshToken } });
    await this.#drop();
  }

  /** Returns the access token, refreshed if it is old or was refused; null if no one is signed in. */
  async #access(refusedToken) {
    const isStale = this.#accessToken === refusedToken || performance.now() >= this.#refreshAt;
    if (this.#refreshing || (this.#refreshToken && isStale)) {
      this.#refreshing ??= this.#refresh().finally(() => (this.#refreshing = null));
      await this.#refreshing;
    }
    return this.#accessToken;
  }

  async #refresh() {
    try {
      const answer = await this.#ask("POST", REFRESH, { json: { refresh_token: this.#refreshToken } });
      await this.#hold(answer.body);
    } catch (error) {
      if (error.terminal) await this.#drop();
      throw error;
    }
  }

  async #hold(tokens) {
    await this.#save(tokens.refresh_token); // before the new access token is used
    const life = tokens.expires_in;
    this.#refreshAt = performance.now() + (life - Math.min(30, life / 10)) * 1000;
    this.#refreshToken = tokens.refresh_token;
    this.#accessToken = tokens.access_token;
  }

  async #drop() {
    this.#refreshToken = this.#accessToken = null;
    this.#refreshAt = 0;
    await this.#save(null);
  }

  /** Sends a request, and retries it if that is safe. */
  async #ask(method, path, { json, headers, accessToken }) {
    const isRepeatable = ["GET", "HEAD"].includes(method) || [REFRESH, LOGOUT].includes(path);
    const request = { method, credentials: "omit", redirect: "error", headers: { ...headers } };
    if (accessToken) request.headers.Authorization = `Bearer ${accessToken}`;
    if (json !== undefined) {
      request.headers["Content-Type"] = "application/json";
      request.body = JSON.stringify(json);
    }
    for (let triesLeft = TRIES - 1; ; triesLeft--) {
      let failure, again, wait;
      try {
        const answer = await fetch(this.#base + path, { ...request, signal: AbortSignal.timeout(TIMEOUT) });
        const type = answer.headers.get("Content-Type") ?? "";
        const text = await answer.text();
        const body = /^application\/(problem\+)?json/.test(type) && text ? JSON.parse(text) : text;
        if (answer.ok || answer.status === 304) return { status: answer.status, headers: answer.headers, body };
        if (!type.startsWith("application/problem+json")) throw new Error(`${method} ${path}: status ${answer.status}`);
        failure = new (body.action === "login" ? SignInAgain : Refused)(body);
        // Without the database, it is unknown whether a change was made.
        again = failure.action === "wait" && (isRepeatable || failure.code !== "database_unavailable");
        wait = Number.parseInt(answer.headers.get("Retry-After"), 10) || 2;
      } catch (fault) {
        [failure, again, wait] = [fault, isRepeatable, 1]; // no answer from doorward: the user stays signed in
      }
      if (!again || triesLeft === 0 || wait > LONGEST_WAIT) throw failure;
      const pause = (wait + Math.random()) * 1000; // so that not all clients retry at the same time
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }
}

// Run from the command line: client.mjs BASE USERNAME, with the password on standard input.
if (globalThis.process?.argv[1]?.endsWith("client.mjs")) {
  const { createInterface } = await import("node:readline/promises");
  const [base, username] = process.argv.slice(2);
  const input = createInterface({ input: process.stdin });
  const client = new Doorward(base);
  await client.signIn(username, await input.question(""), { device: "client.mjs" });
  input.close();
  console.log(JSON.stringify((await client.call("GET", "/api/v1/me")).body));
  await client.signOut();
}
