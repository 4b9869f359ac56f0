// What ESLint says of the browser's half of the widgets and of its tests. Run from the project's root (tests/run).
import js from "@eslint/js";
import unsanitized from "eslint-plugin-no-unsanitized";
import globals from "globals";

export default [
  js.configs.recommended,
  unsanitized.configs.recommended,
  { linterOptions: { reportUnusedDisableDirectives: "error" } },
  { files: ["nbfiles/**/*.js"], languageOptions: { globals: globals.browser } },
  { files: ["tests/js/*.mjs"], languageOptions: { globals: globals.nodeBuiltin } },
];
