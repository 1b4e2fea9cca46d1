// What was typed stays: over a change of language, a reload, and Back.
//
// When a view is left, every control in it that has a name is noted, for this tab only; when the
// view is there again, controls get back what was in them as they appear, and are told as if it had
// been typed. So a form that was sent, and is gone, leaves nothing. What must not come back (a word
// typed to confirm) has no name. `data-about` around controls says what they are about, where a
// name alone would give one thing's text to another.

const STORE = "typed";
const CONTROLS = "input[name]:not([type=file], [type=password]), select[name], textarea[name]";
const TICKED = new Set(["radio", "checkbox"]);

let view;
let waiting = {};
const models = new Map();

const keyOf = (control) => [
  control.closest("[data-about]")?.dataset.about ?? "", control.name, TICKED.has(control.type) ? control.value : "",
].join(" ");
const read = (control) => (TICKED.has(control.type) ? control.checked : control.value);
const viewNow = () => `${location.pathname}${location.hash} ${history.state?.step ?? ""}`;
const stored = () => JSON.parse(sessionStorage.getItem(STORE) ?? "{}");

function note() {
  if (sessionStorage.getItem("signed-out")) return; // see ending.js
  const all = stored();
  all[view] = { ...waiting };
  for (const control of document.querySelectorAll(CONTROLS)) all[view][keyOf(control)] = read(control);
  for (const [name, model] of models) all[name] = model();
  try {
    sessionStorage.setItem(STORE, JSON.stringify(all));
  } catch {
    // More than the browser keeps for a tab: then it is typed again.
  }
}

function give(control) {
  const key = keyOf(control);
  if (!Object.hasOwn(waiting, key)) return;
  const value = waiting[key];
  delete waiting[key];
  if (read(control) === value) return;
  if (!TICKED.has(control.type)) control.value = value;
  else if (control.type === "radio" && !value) return; // another one's tick takes it away
  else control.checked = value;
  for (const kind of ["input", "change"]) control.dispatchEvent(new Event(kind, { bubbles: true }));
}

function giveWithin(element) {
  if (element.matches(CONTROLS)) give(element);
  for (const control of element.querySelectorAll(CONTROLS)) if (control.isConnected) give(control);
}

/** Another view was chosen, and what is there is about to be taken away. */
function turn() {
  if (viewNow() === view) return;
  note();
  view = viewNow();
  waiting = stored()[view] ?? {};
}

/** For as long as the page lives. */
export function keepTyped() {
  if (view !== undefined) return;
  view = viewNow();
  waiting = stored()[view] ?? {};
  giveWithin(document.body);
  new MutationObserver((changes) => {
    for (const { addedNodes } of changes) {
      for (const node of addedNodes) if (node instanceof Element && node.isConnected) giveWithin(node);
    }
  }).observe(document.body, { childList: true, subtree: true });
  document.addEventListener("turn", turn);
  addEventListener("popstate", turn);
  addEventListener("hashchange", turn);
  addEventListener("pagehide", note);
}

/**
 * What a page holds beside its controls, such as the steps before this one: what it was when the
 * page was left. `model` gives it at any time, as JSON can have it.
 */
export function keepModel(name, model) {
  keepTyped();
  models.set(name, model);
  return stored()[name];
}

/** Somebody has left: what this page still waits to give back was theirs. */
export function forgetAllTyped() {
  waiting = {};
  sessionStorage.removeItem(STORE);
}

/** What was typed into the views of this hash was sent: nothing of it is kept. */
export function forgetTyped(hash) {
  const sent = `${location.pathname}#${hash} `;
  sessionStorage.setItem(STORE, JSON.stringify(
    Object.fromEntries(Object.entries(stored()).filter(([name]) => !name.startsWith(sent)))));
}
