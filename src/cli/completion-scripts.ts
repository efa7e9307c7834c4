/** Completion for bash, zsh and fish, made of the tables of commands and options. */
import type { CommandFacts } from './command-facts.js';
import { type FlagFacts, flagsOf } from './flag-list.js';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

const FILES = new Set(['file', 'dir', 'path', 'target', 'source']);

/** For a single-quoted text of any of the three shells. */
const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

/** The script for a shell, to be sourced by it. */
export function completionScript(shell: Shell, commands: readonly CommandFacts[]): string {
  return { bash: bashScript, zsh: zshScript, fish: fishScript }[shell](commands);
}

function bashScript(commands: readonly CommandFacts[]): string {
  const flags = (facts: CommandFacts): string =>
    flagsOf(facts)
      .map(({ flag, optional }) => (optional ? flag : `${flag}=`))
      .join(' ');
  const choices = new Map(commands.flatMap(flagsOf).map(({ flag, choices }) => [flag, choices]));
  const values = [...choices]
    .filter(([, list]) => list.length > 0)
    .map(([flag, list]) => `    ${flag}) COMPREPLY=($(compgen -W ${quoted(list.join(' '))} -- "$value")); return ;;`);
  return `# diffkeeper completion bash: source it, or put it into /etc/bash_completion.d/diffkeeper
_diffkeeper() {
  local word=\${COMP_WORDS[COMP_CWORD]} command=run at value flag
  COMPREPLY=()
  for ((at = 1; at < COMP_CWORD; at++)); do
    [ "\${COMP_WORDS[at]}" = -- ] && { COMPREPLY=($(compgen -c -f -- "$word")); return; }
  done
  case "\${COMP_WORDS[1]}" in
    ${commands.map(({ name }) => name).join('|')}) command=\${COMP_WORDS[1]} ;;
  esac
  # bash cuts words at "=".
  flag=\${COMP_WORDS[COMP_CWORD - 1]} value=$word
  [ "$word" = = ] && value=
  [ "$flag" = = ] && flag=\${COMP_WORDS[COMP_CWORD - 2]}
  case "$flag" in
${values.join('\n')}
    --*) [ "$word" = = ] || [ "\${COMP_WORDS[COMP_CWORD - 1]}" = = ] && { COMPREPLY=($(compgen -f -- "$value")); return; } ;;
  esac
  if [ "\${word:0:1}" = - ]; then
    local flags
    case "$command" in
${commands.map((facts) => `      ${facts.name}) flags=${quoted(flags(facts))} ;;`).join('\n')}
    esac
    COMPREPLY=($(compgen -W "$flags" -- "$word"))
    [[ \${COMPREPLY[0]} == *= ]] && compopt -o nospace
  elif [ "$COMP_CWORD" = 1 ]; then
    COMPREPLY=($(compgen -W ${quoted(commands.map(({ name }) => name).join(' '))} -- "$word"))
  else
    COMPREPLY=($(compgen -f -- "$word"))
  fi
}
complete -o filenames -F _diffkeeper diffkeeper
`;
}

function zshFlag({ flag, value, help, choices, optional }: FlagFacts): string {
  const text = help.replace(/[[\]:]/g, (sign) => `\\${sign}`);
  if (value === undefined && choices.length === 0) return quoted(`${flag}[${text}]`);
  const action = choices.length > 0 ? `(${choices.join(' ')})` : FILES.has(value ?? '') ? '_files' : '';
  return quoted(`${flag}=${optional ? '-' : ''}[${text}]${optional ? '::' : ':'}${value ?? 'value'}:${action}`);
}

function zshScript(commands: readonly CommandFacts[]): string {
  const cases = commands.map(
    (facts) => `    ${facts.name}) _arguments -S ${flagsOf(facts).map(zshFlag).join(' ')} '*:file:_files' ;;`,
  );
  const list = commands.map(({ name, help }) => quoted(`${name}:${help.replaceAll(':', '\\:')}`));
  return `#compdef diffkeeper
# diffkeeper completion zsh: put it as _diffkeeper into a directory of $fpath
_diffkeeper() {
  local -a commands=(${list.join(' ')})
  local command=run
  (( CURRENT == 2 )) && [[ $words[2] != -* ]] && { _describe command commands; return }
  (( \${commands[(I)$words[2]:*]} )) && { command=$words[2]; shift words; (( CURRENT-- )) }
  case $command in
${cases.join('\n')}
  esac
}
(( $+functions[compdef] )) && compdef _diffkeeper diffkeeper
`;
}

function fishScript(commands: readonly CommandFacts[]): string {
  const lines = commands.flatMap((facts) => {
    const here =
      facts.name === 'run'
        ? '__fish_use_subcommand; or __fish_seen_subcommand_from run'
        : `__fish_seen_subcommand_from ${facts.name}`;
    return [
      `complete -c diffkeeper -f -n __fish_use_subcommand -a ${facts.name} -d ${quoted(facts.help)}`,
      ...flagsOf(facts).map(({ flag, value, help, choices }) => {
        const kind =
          choices.length > 0
            ? ` -x -a ${quoted(choices.join(' '))}`
            : value
              ? FILES.has(value)
                ? ' -r -F'
                : ' -x'
              : '';
        return `complete -c diffkeeper -n ${quoted(here)} -l ${flag.slice(2)}${kind} -d ${quoted(help)}`;
      }),
    ];
  });
  return `# diffkeeper completion fish: put it into ~/.config/fish/completions/diffkeeper.fish\n${lines.join('\n')}\n`;
}
