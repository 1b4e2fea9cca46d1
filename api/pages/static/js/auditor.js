// The auditor console: trace any line, verify it here and on the chain, settle disputes.

import "./core/shell.js";
import { $ } from "./core/dom.js";
import { requireSession } from "./core/session.js";

const session = await requireSession({ slot: "auditor", roles: ["auditor"] });
const { Console } = await import("./auditor/console.js");
await new Console(session).start($("#app"));
