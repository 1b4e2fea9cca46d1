// Which department this desk is for, and which types it may issue.

import { catalogue } from "../core/i18n.js";

/** @returns {{code: string, types: string[]}} short names of the types it may issue, as they are called */
export function department(code) {
  const allowed = new Set(catalogue.institutions[code]?.types ?? []);
  const types = Object.keys(catalogue.types).filter((type) => allowed.has(catalogue.types[type].type_code));
  return { code, types };
}

let details;

/** The whole catalogue (GET /v1/catalogue) by short name: what a type's fields are, required and personal. */
export function typeDetails(api) {
  details ??= api.get("/v1/catalogue", {}, { token: false }).then(
    ({ types }) => Object.fromEntries(types.map((type) => [type.code, type])),
  );
  details.catch(() => (details = undefined));
  return details;
}
