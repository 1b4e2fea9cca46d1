// The screens after the first one, and what happens between them.

import { loadStyles } from "../../core/dom.js";

export { askScreen as ask } from "./ask.js";
export { chooseScreen as choose } from "./choose.js";
export { codeScreen as code, workingScreen as working } from "./code.js";
export { openHelp } from "./help.js";
export { Idle } from "./idle.js";
export { resultScreen as result, thanksScreen as thanks, troubleScreen as trouble } from "./result.js";
export { listenToScanner, stayAwake } from "./scan.js";
export { watchService } from "./service.js";
export { Visit } from "./visit.js";

export const styled = () => loadStyles("kiosk-later");
