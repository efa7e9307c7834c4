/** Checks option values that are more than text. Loaded only when one of them was given: zod takes a while to load. */
import * as z from 'zod/mini';
import type { OptionFacts } from './option-table.js';

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

function booleanSchema(): z.ZodMiniType<unknown> {
  const words = z.pipe(
    z.enum(['true', '1', 'yes', 'on', 'false', '0', 'no', 'off']),
    z.transform((word) => ['true', '1', 'yes', 'on'].includes(word)),
  );
  return z.union([z.boolean(), words]);
}

function numberSchema(option: OptionFacts, whole: boolean): z.ZodMiniType<unknown> {
  const bounds = [z.minimum(option.min ?? 0), z.maximum(option.max ?? Number.MAX_SAFE_INTEGER)] as const;
  const number = whole ? z.int().check(...bounds) : z.number().check(...bounds);
  const digits = z.string().check(z.regex(/^\d+(\.\d+)?$/));
  return z.union([number, z.pipe(z.pipe(digits, z.transform(Number)), number)]);
}

function percentSchema(option: OptionFacts): z.ZodMiniType<unknown> {
  const number = z.number().check(z.minimum(option.min ?? 0), z.maximum(option.max ?? 100));
  const text = z.pipe(
    z.string().check(z.regex(/^\d+(\.\d+)? ?%?$/)),
    z.transform((value) => Number.parseFloat(value)),
  );
  return z.union([number, z.pipe(text, number)]);
}

function durationSchema(option: OptionFacts): z.ZodMiniType<unknown> {
  const number = z.number().check(z.minimum(option.min ?? 0), z.maximum(option.max ?? Number.MAX_SAFE_INTEGER));
  const text = z.pipe(
    z.string().check(z.regex(/^\d+(\.\d+)? ?(ms|s|m|h)?$/)),
    z.transform((value) => {
      const [, amount = '', , unit = 'ms'] = /^(\d+(\.\d+)?) ?(ms|s|m|h)?$/.exec(value) ?? [];
      return Number(amount) * (UNIT_MS[unit] ?? 1);
    }),
  );
  return z.union([number, z.pipe(text, number)]);
}

function schemaOf(option: OptionFacts): z.ZodMiniType<unknown> {
  switch (option.kind) {
    case 'boolean':
      return booleanSchema();
    case 'integer':
      return numberSchema(option, true);
    case 'megabytes':
      return numberSchema(option, false);
    case 'percent':
      return percentSchema(option);
    case 'duration':
      return durationSchema(option);
    case 'choice':
      return z.enum([...(option.choices ?? [])]);
    case 'list':
      return z.array(z.string().check(z.minLength(1)));
    default:
      return z.string().check(z.minLength(1));
  }
}

/** The value as the program uses it; undefined when it is not allowed. */
export function checkValue(option: OptionFacts, raw: unknown): unknown {
  const result = schemaOf(option).safeParse(raw);
  return result.success ? result.data : undefined;
}

/** The entries of a configuration file's object; undefined when it is not an object. */
export function checkConfig(raw: unknown): Record<string, unknown> | undefined {
  const result = z.record(z.string(), z.unknown()).safeParse(raw);
  return result.success ? result.data : undefined;
}
