/**
 * The parts of the form library that are used: Mantine's templates for titles and choices between schemas. They are
 * imported one by one: the whole package includes a date picker and a compiling validator.
 */

import { Text } from "@mantine/core";
import buttons from "@rjsf/mantine/lib/templates/ButtonTemplates/index.js";
import FieldErrorTemplate from "@rjsf/mantine/lib/templates/FieldErrorTemplate.js";
import MultiSchemaFieldTemplate from "@rjsf/mantine/lib/templates/MultiSchemaFieldTemplate.js";
import TitleFieldTemplate from "@rjsf/mantine/lib/templates/TitleField.js";
import SelectWidget from "@rjsf/mantine/lib/widgets/SelectWidget.js";
import type { DescriptionFieldProps } from "@rjsf/utils";
import { Words } from "./fields/FieldFrame";
import { LeafField } from "./fields/LeafField";
import { ArrayFieldItemTemplate, ArrayFieldTemplate } from "./lists";
import { FieldTemplate, ObjectFieldTemplate } from "./templates";

function DescriptionFieldTemplate({ id, description }: DescriptionFieldProps) {
  if (!description) return null;
  return (
    <Text id={id} size="xs" c="var(--quiet)">
      {typeof description === "string" ? <Words text={description} /> : description}
    </Text>
  );
}

export const templates = {
  ArrayFieldItemTemplate,
  ArrayFieldTemplate,
  ButtonTemplates: buttons(),
  DescriptionFieldTemplate,
  FieldErrorTemplate,
  FieldTemplate,
  MultiSchemaFieldTemplate,
  ObjectFieldTemplate,
  TitleFieldTemplate,
};
export const widgets = { SelectWidget };
export const fields = { LeafField };
