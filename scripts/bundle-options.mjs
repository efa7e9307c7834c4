/** What the bundles of the library, the command line and the executable have in common. */
export const BUNDLE = {
  bundle: true,
  minifySyntax: true,
  minifyWhitespace: true,
  platform: 'node',
  target: 'node20',
  write: false,
  logLevel: 'warning',
};
