/**
 * Validate values against JSON Schema for the form library by interpretation: the content security policy forbids
 * compilation.
 */
import { type OutputUnit, type Schema, Validator } from "@cfworker/json-schema";
import {
  type CustomValidator,
  createErrorHandler,
  type ErrorTransformer,
  type RJSFSchema,
  type RJSFValidationError,
  toErrorList,
  toErrorSchema,
  type UiSchema,
  unwrapErrorHandler,
  type ValidationData,
  type ValidatorType,
  validationDataMerge,
} from "@rjsf/utils";

const kept = new WeakMap<object, Map<unknown, Validator>>();

function validatorOf(schema: RJSFSchema, root: RJSFSchema | undefined): Validator {
  let byRoot = kept.get(schema);
  if (byRoot === undefined) {
    byRoot = new Map();
    kept.set(schema, byRoot);
  }
  let made = byRoot.get(root);
  if (made === undefined) {
    const definitions = root === undefined ? {} : { definitions: root.definitions, $defs: root.$defs };
    made = new Validator({ ...definitions, ...schema } as Schema, "2020-12", false);
    byRoot.set(root, made);
  }
  return made;
}

/** Convert `#/a/0/b` to .a.0.b, the library's syntax. */
function propertyOf(unit: OutputUnit): string {
  const path = unit.instanceLocation
    .replace(/^#/, "")
    .split("/")
    .map((part) => part.replace(/~1/g, "/").replace(/~0/g, "~"))
    .join(".");
  const missing = unit.keyword === "required" ? /property "(.+)"/.exec(unit.error)?.[1] : undefined;
  return missing === undefined ? path : `${path}.${missing}`;
}

// These messages only say that something inside is wrong, which has its own message.
const AROUND = new Set(["properties", "items", "additionalProperties", "allOf", "$ref", "prefixItems"]);

function errorOf(unit: OutputUnit): RJSFValidationError {
  const message = unit.keyword === "required" ? "This field is required" : unit.error;
  return {
    name: unit.keyword,
    property: propertyOf(unit),
    message,
    stack: message,
    schemaPath: unit.keywordLocation,
  };
}

interface Outcome {
  errors: RJSFValidationError[];
  /** Return why the schema cannot be used for validation. */
  fault?: Error;
}

function check(schema: RJSFSchema, value: unknown, root?: RJSFSchema): Outcome {
  try {
    const { errors } = validatorOf(schema, root).validate(value);
    return { errors: errors.filter((unit) => !AROUND.has(unit.keyword)).map(errorOf) };
  } catch (error) {
    return { errors: [], fault: error instanceof Error ? error : new Error(String(error)) };
  }
}

/**
 * Return the problems of a value. A schema that cannot be interpreted, for example with an unknown regex syntax,
 * accepts everything.
 */
export function faultsOf(schema: unknown, value: unknown): RJSFValidationError[] {
  return check(schema as RJSFSchema, value).errors;
}

function validateFormData<T>(
  formData: T | undefined,
  schema: RJSFSchema,
  customValidate?: CustomValidator<T>,
  transformErrors?: ErrorTransformer<T>,
  uiSchema?: UiSchema<T>,
): ValidationData<T> {
  const { errors: found } = check(schema, formData);
  const errors = transformErrors === undefined ? found : transformErrors(found, uiSchema);
  const data: ValidationData<T> = { errors, errorSchema: toErrorSchema<T>(errors) };
  if (customValidate === undefined) return data;
  const handler = customValidate(formData, createErrorHandler<T>(formData as T), uiSchema);
  return validationDataMerge<T>(data, unwrapErrorHandler<T>(handler));
}

export const validator: ValidatorType & { toErrorList: typeof toErrorList } = {
  validateFormData,
  toErrorList,
  isValid: (schema, formData, rootSchema) => {
    const { errors, fault } = check(schema, formData, rootSchema);
    return fault === undefined && errors.length === 0;
  },
  rawValidation: <Result>(schema: RJSFSchema, formData: unknown) => {
    const { errors, fault } = check(schema, formData);
    return { errors: errors as Result[], validationError: fault };
  },
};
