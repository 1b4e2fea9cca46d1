// Modules that are no part of the first view, with their words.

import { loadLater } from "../core/i18n.js";

export async function later(name) {
  await loadLater();
  return import(`./later/${name}.js`);
}
