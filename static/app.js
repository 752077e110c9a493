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

// Copies a code block. Without script it can be selected.
for (const block of document.querySelectorAll(".document pre, main > pre")) {
  const made = button("Copy", "Copy this code");
  made.classList.add("copy");
  made.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(block.textContent.trimEnd());
      made.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(block);
      made.textContent = "Press Ctrl+C";
    }
    setTimeout(() => { made.textContent = "Copy"; }, 2_000);
  });
  const frame = document.createElement("div");
  frame.className = "code-block";
  block.replaceWith(frame);
  frame.append(block, made);
}

// Shows one of the guide's clients at a time. Without script all of them are shown.
const clients = [...document.querySelectorAll('.document > h2[id^="a-client-"]')];
if (clients.length > 1) {
  const tabs = document.createElement("div");
  tabs.className = "language-tabs";
  tabs.setAttribute("role", "tablist");
  tabs.setAttribute("aria-label", "Language of the client");
  clients[0].before(tabs);
  const choose = (chosen) => {
    for (const { tab, panel } of parts) {
      const isChosen = tab === chosen;
      tab.setAttribute("aria-selected", String(isChosen));
      tab.tabIndex = isChosen ? 0 : -1;
      panel.classList.toggle("unchosen", !isChosen);
    }
  };
  const parts = clients.map((heading) => {
    const panel = document.createElement("div");
    panel.id = `${heading.id}-panel`;
    panel.setAttribute("role", "tabpanel");
    heading.before(panel);
    let node = heading;
    do {
      const next = node.nextElementSibling;
      panel.append(node);
      node = next;
    } while (node && node.tagName !== "H2");
    const tab = document.createElement("button");
    tab.type = "button";
    tab.id = `${heading.id}-tab`;
    tab.textContent = heading.textContent.replace(/^A client (in|for the) /, "").replace(/^s/, "S");
    tab.setAttribute("role", "tab");
    tab.setAttribute("aria-controls", panel.id);
    panel.setAttribute("aria-labelledby", tab.id);
    tab.addEventListener("click", () => choose(tab));
    tabs.append(tab);
    return { heading, tab, panel };
  });
  tabs.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const at = parts.findIndex(({ tab }) => tab === event.target);
    const { tab } = parts[(at + step + parts.length) % parts.length];
    choose(tab);
    tab.focus();
  });
  const follow = () => {
    const found = parts.find(({ heading }) => `#${heading.id}` === location.hash);
    if (!found) return false;
    choose(found.tab);
    found.heading.scrollIntoView();
    return true;
  };
  window.addEventListener("hashchange", follow);
  if (!follow()) choose(parts[0].tab);
}

// Marks the section in sight in the contents.
const entries = new Map();
for (const link of document.querySelectorAll(".contents a")) {
  const heading = document.getElementById(decodeURIComponent(link.hash.slice(1)));
  if (heading) entries.set(heading, link);
}
if (entries.size > 0) {
  const mark = () => {
    let current = null;
    for (const [heading, link] of entries) {
      link.removeAttribute("aria-current");
      if (heading.offsetParent && heading.getBoundingClientRect().top < 120) current = link;
    }
    if (current) current.setAttribute("aria-current", "true");
  };
  let isDue = false;
  addEventListener("scroll", () => {
    if (isDue) return;
    isDue = true;
    requestAnimationFrame(() => { isDue = false; mark(); });
  }, { passive: true });
  mark();
}

// Filters the rows of tables below. Without script the browser's own search finds them.
for (const place of document.querySelectorAll("[data-filter]")) {
  const target = document.getElementById(place.dataset.filter);
  const label = document.createElement("label");
  label.htmlFor = "filter";
  label.textContent = "Filter";
  const input = document.createElement("input");
  input.id = "filter";
  input.type = "search";
  input.autocomplete = "off";
  const said = document.createElement("p");
  said.className = "hint";
  said.setAttribute("role", "status");
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/);
    let count = 0;
    for (const section of target.children) {
      const rows = [...section.querySelectorAll("tbody tr")];
      for (const row of rows) row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
      const left = rows.filter((row) => !row.hidden).length;
      section.hidden = left === 0;
      count += left;
    }
    said.textContent = input.value ? `${count} found` : "";
  });
  place.className = "filter";
  place.append(label, input, said);
}
