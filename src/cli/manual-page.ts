/** The manual page (roff, man(7)), made of the tables of commands and options. */
import type { CommandFacts } from './command-facts.js';
import { flagsOf } from './flag-list.js';

/** Signs that roff takes for its own. */
function roff(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replace(/^([.'])/gm, '\\&$1');
}

function section(facts: CommandFacts): string {
  const usage = facts.startsCommand
    ? '[options] -- command [arguments...]'
    : `[options] ${facts.arguments ?? ''}`.trim();
  const flags = flagsOf(facts).map(({ flag, value, help, optional, fallback, variable }) => {
    const name = value === undefined ? `\\fB${roff(flag)}\\fR` : `\\fB${roff(flag)}\\fR=\\fI${roff(value)}\\fR`;
    const also = [fallback && `Default: ${fallback}.`, variable && `Variable: ${variable}.`].filter(Boolean).join(' ');
    const text = [`${help}.`, also].filter(Boolean).join(' ');
    return `.TP\n${name}${optional && value === undefined && variable ? '[=true|false]' : ''}\n${roff(text)}`;
  });
  const examples = facts.examples.map((line) => `${roff(line)}`);
  return `.SS diffkeeper ${roff(facts.name)} ${roff(usage)}
${roff(`${facts.help[0]?.toUpperCase()}${facts.help.slice(1)}.`)}
${flags.join('\n')}
.PP
Examples:
.PP
.nf
.RS
${examples.join('\n')}
.RE
.fi`;
}

/**
 * The page.
 * @param after what help says about all commands: precedence and exit codes
 */
export function manualPage(
  commands: readonly CommandFacts[],
  facts: { readonly version: string; readonly after: string },
): string {
  return `.TH DIFFKEEPER 1 "" "diffkeeper ${facts.version}" "User Commands"
.SH NAME
diffkeeper \\- keeps every version of a state directory as verified binary deltas, and gets it back
.SH SYNOPSIS
.B diffkeeper
[options] \\-\\- \\fIcommand\\fR [arguments...]
.br
.B diffkeeper
\\fIcommand word\\fR [options] [arguments...]
.SH DESCRIPTION
${roff(facts.after.trim())
  .split('\n')
  .map((line) => (/^ /.test(line) ? `.br\n${line.trim()}` : line))
  .join('\n')}
.SH COMMANDS
${commands.map(section).join('\n')}
.SH SEE ALSO
.BR restic (1),
.BR borg (1),
.BR xdelta3 (1),
.BR zstd (1)
`;
}
