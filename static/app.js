// What pages do beyond plain HTML. Each of them works without this.
"use strict";

function button(text, label) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = "quiet";
  made.textContent = text;
  if (label) made.setAttribute("aria-label", label);
  return made;
}

function beside(input, made) {
  const row = document.createElement("div");
  row.className = "row";
  input.replaceWith(row);
  row.append(input, made);
}

for (const input of document.querySelectorAll('input[type="password"]')) {
  const name = input.labels[0] ? input.labels[0].textContent.toLowerCase() : "password";
  const toggle = button("Show", `Show ${name}`);
  toggle.setAttribute("aria-pressed", "false");
  toggle.addEventListener("click", () => {
    const shown = input.type === "text";
    input.type = shown ? "password" : "text";
    toggle.textContent = shown ? "Show" : "Hide";
    toggle.setAttribute("aria-pressed", String(!shown));
  });
  // A password manager wants a password field.
  input.form.addEventListener("submit", () => { input.type = "password"; });
  const hadFocus = document.activeElement === input;
  beside(input, toggle);
  if (hadFocus) input.focus();
}

for (const input of document.querySelectorAll("input[data-copy]")) {
  const copy = button("Copy");
  const said = document.createElement("p");
  said.className = "hint";
  said.setAttribute("role", "status");
  copy.addEventListener("click", async () => {
    input.select();
    try {
      await navigator.clipboard.writeText(input.value);
      said.textContent = "Copied.";
    } catch {
      said.textContent = "Press Ctrl+C to copy what is selected.";
    }
  });
  beside(input, copy);
  copy.parentElement.after(said);
}

// The back button after a sign-out must not bring a page back from memory.
window.addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});

// The choice of colours, in place. Without script the link leads to a page with a form.
for (const link of document.querySelectorAll("a[data-theme-choice]")) {
  const label = document.createElement("label");
  const select = document.createElement("select");
  for (const [value, text] of [["system", "As the device"], ["light", "Light"], ["dark", "Dark"]]) {
    select.add(new Option(text, value));
  }
  const chosen = /(?:^|; )doorward-theme=(light|dark)(?:;|$)/.exec(document.cookie);
  select.value = chosen ? chosen[1] : "system";
  select.addEventListener("change", () => {
    const secure = location.protocol === "https:" ? "; Secure" : "";
    document.cookie = `doorward-theme=${select.value}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`;
    document.documentElement.dataset.theme = select.value;
  });
  label.append(`${link.textContent} `, select);
  link.replaceWith(label);
}

// Copies an ID. Without script it can be selected.
for (const code of document.querySelectorAll("code[data-copy]")) {
  const copy = button("Copy", `Copy ${code.textContent}`);
  copy.classList.add("copy");
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(code.textContent);
      copy.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code);
      copy.textContent = "Press Ctrl+C";
    }
    setTimeout(() => { copy.textContent = "Copy"; }, 2_000);
  });
  code.after(copy);
}
