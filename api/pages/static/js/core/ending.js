// The end of a session: in this tab, and with it in all others of this browser.

import { forgetKey, loadKey } from "./keys.js";
import { forgetAllTyped } from "./typed.js";

export const SIGNED_OUT = "signed-out"; // in a tab's storage until it was said: the key that was given up
const channel = new BroadcastChannel("certledger-session");

/** Nothing of who was here stays for whoever comes next. */
export async function leave(slot) {
  await forgetKey(slot);
  forgetAllTyped();
  sessionStorage.clear();
}

export async function signOut(slot, kid) {
  await leave(slot);
  channel.postMessage({ slot, kid });
  reload(kid);
}

/** From now on, signed out in one tab is signed out in this one. */
export async function endWithOthers(slot, kid) {
  const end = () => {
    sessionStorage.clear();
    reload(kid);
  };
  const look = async () => document.visibilityState === "visible" && (await loadKey(slot))?.kid !== kid && end();
  channel.addEventListener("message", ({ data }) => data.slot === slot && data.kid === kid && end());
  // A page that was put aside by the browser hears of nothing.
  document.addEventListener("visibilitychange", look);
  addEventListener("pageshow", (event) => event.persisted && look());
  await look();
}

/** To the sign-in, which says what became of the key. */
function reload(kid) {
  sessionStorage.setItem(SIGNED_OUT, kid);
  location.reload();
}
