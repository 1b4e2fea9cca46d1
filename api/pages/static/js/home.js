import "./core/shell.js";
