"""Compare GraphQL requests with the types that graphql-codegen made of a service's schema."""

from graphql import GraphQLError, parse, value_from_ast_untyped
from graphql.language import ast
from typescript_types import Object, Type


class Checker:
    """Compare one request. `types` has those of the schema."""

    def __init__(self, types, text, variables):
        self.types, self.variables, self.problems, self.used = types, variables, [], set()
        try:
            self.operation = parse(text).definitions[0]
        except GraphQLError as error:
            self.operation, self.problems = None, [str(error)]

    def run(self):
        """Return what is wrong with the request."""
        if self.operation is None:
            return self.problems
        self.declared = {each.variable.name.value: each for each in self.operation.variable_definitions or ()}
        self.problems += [f"${name} is not declared" for name in self.variables if name not in self.declared]
        root = "Mutation" if self.operation.operation.value == "mutation" else "Query"
        self.selection(self.operation.selection_set, root, root)
        return self.problems + [f"${name} is not used" for name in self.declared if name not in self.used]

    def selection(self, selected, name, place):
        fields = self.types.object_of(Type("name", (name,))) or {}
        for field in selected.selections:
            at = f"{place}.{field.name.value}"
            if field.name.value not in fields:
                self.problems.append(f"{at} is not known")
                continue
            self.arguments(field, name, at)
            inner = type_name(fields[field.name.value][0])
            if field.selection_set:
                self.selection(field.selection_set, inner, at)
            elif isinstance(self.types.named(inner), Object):
                self.problems.append(f"{at} needs fields")

    def arguments(self, field, parent, place):
        name = field.name.value
        told = self.types.named(f"{parent}{'_'.join(each[:1].upper() + each[1:] for each in name.split('_'))}Args")
        told = told.fields if isinstance(told, Object) else {}
        given = {each.name.value: each.value for each in field.arguments or ()}
        for key, value in given.items():
            if key in told:
                self.value(value, *told[key], f"{place}({key})")
            else:
                self.problems.append(f"{place}({key}) is not known")
        self.problems += [
            f"{place}({key}) is missing" for key, (_, needed) in told.items() if needed and key not in given
        ]

    def value(self, node, type_, needed, place):
        if isinstance(node, ast.VariableNode):
            self.variable(node.name.value, type_, needed, place)
        elif isinstance(node, ast.ListValueNode):
            for item in node.values:
                self.value(item, list_item(type_), True, place)
        elif isinstance(node, ast.ObjectValueNode):
            fields = self.types.object_of(type_) or {}
            for field in node.fields:
                if field.name.value in fields:
                    self.value(field.value, *fields[field.name.value], f"{place}.{field.name.value}")
                else:
                    self.problems.append(f"{place}.{field.name.value} is not known")
        else:
            self.problems += self.types.problems(value_from_ast_untyped(node), type_, place)

    def variable(self, name, type_, needed, place):
        self.used.add(name)
        told = self.declared[name]
        named = told.type.type if isinstance(told.type, ast.NonNullTypeNode) else told.type
        if isinstance(named, ast.NamedTypeNode) and named.name.value != type_name(type_):
            self.problems.append(f"${name} must be of the type {type_name(type_)}, for {place}")
        if needed and not isinstance(told.type, ast.NonNullTypeNode) and told.default_value is None:
            self.problems.append(f"${name} must not be null, for {place}")
        if name in self.variables:
            self.problems += self.types.problems(self.variables[name], type_, f"${name}")
        elif isinstance(told.type, ast.NonNullTypeNode):
            self.problems.append(f"${name} is missing")


def type_name(type_):
    """Return the name of a type, of the items of a list, or of a scalar."""
    if type_.kind == "index":
        outer, key = type_.parts
        return key.parts[0] if outer == Type("name", ("Scalars",)) else type_name(outer)
    if type_.kind in ("union", "list"):
        return next((type_name(part) for part in type_.parts if part != Type("plain", ("null",))), "")
    return type_.parts[0] if type_.kind == "name" else ""


def list_item(type_):
    """Return the type of the items of a list that may be null."""
    parts = type_.parts if type_.kind == "union" else (type_,)
    return next(part.parts[0] for part in parts if part.kind == "list")


def answer_problems(types, text, response):
    """Return what of a response to a request the schema does not have."""
    root = "Mutation" if text.lstrip().startswith("mutation") else "Query"
    return types.problems(response["data"], Type("name", (root,)), optional=True)
