// Runs the guide's JavaScript client as each line of the input says, and prints a line of JSON for each.

import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [folder, base, kept] = process.argv.slice(2);
const { Doorward, Refused, SignInAgain } = await import(pathToFileURL(`${folder}/client.mjs`));

async function save(refreshToken) {
  if (refreshToken === null) rmSync(kept, { force: true });
  else writeFileSync(kept, refreshToken);
}

async function told(doing) {
  try {
    const answer = await doing;
    return { kind: "answer", body: answer?.body || null };
  } catch (error) {
    if (error instanceof SignInAgain) return { kind: "sign_in", text: error.message };
    if (error instanceof Refused) return { kind: "refused", action: error.action, text: error.message };
    return { kind: "fault", text: `${error}` };
  }
}

const refreshToken = existsSync(kept) && statSync(kept).isFile() ? readFileSync(kept, "utf8") : null;
const client = new Doorward(base, { refreshToken, save });
const doing = {
  call: ({ method, path, json, times }) =>
    Array.from({ length: times }, () => told(client.call(method, path, { json: json ?? undefined }))),
  sign_in: ({ password }) => [told(client.signIn("alice", password, { device: "the guide" }))],
  step_up: ({ password }) => [told(client.stepUp(password))],
  sign_out: () => [told(client.signOut())],
};
for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  console.log(JSON.stringify(await Promise.all(doing[asked.do](asked))));
}
