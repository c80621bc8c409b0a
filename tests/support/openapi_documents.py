"""Small OpenAPI documents in the style of well-known APIs."""

PETSTORE = b"""\
openapi: 3.0.3
info: {title: Pet Store, version: 1.0.0}
servers:
  - url: https://petstore.example/api/v3
security:
  - key: []
paths:
  /pets:
    get:
      operationId: listPets
      summary: List the pets
      tags: [pets]
      parameters:
        - {name: limit, in: query, schema: {type: integer, maximum: 100}}
        - {name: status, in: query, required: true, schema: {type: string, enum: [available, sold]}}
        - {name: tags, in: query, explode: false, schema: {type: array, items: {type: string}}}
      responses:
        200: {description: The pets}
    post:
      operationId: addPet
      summary: Add a pet
      requestBody:
        required: true
        content:
          application/xml:
            schema: {$ref: '#/components/schemas/Pet'}
          application/json:
            schema: {$ref: '#/components/schemas/Pet'}
      responses:
        201: {description: Added}
  /pets/{petId}:
    parameters:
      - {$ref: '#/components/parameters/petId'}
    get:
      summary: Show a pet
      description: |
        With its
        owner.
      tags: [pets]
      responses:
        200: {description: The pet}
    delete:
      operationId: removePet
      responses:
        204: {description: Gone}
  /pets/{petId}/photo:
    parameters:
      - {$ref: '#/components/parameters/petId'}
    post:
      operationId: addPhoto
      requestBody:
        required: true
        content:
          multipart/form-data:
            schema:
              type: object
              properties:
                caption: {type: string}
                photo: {type: string, format: binary}
                more: {type: array, items: {type: string, format: binary}}
              required: [photo]
      responses:
        201: {description: Added}
components:
  parameters:
    petId:
      name: petId
      in: path
      required: true
      description: The pet's id
      schema: {type: integer}
  schemas:
    Pet:
      type: object
      required: [id, name]
      properties:
        id: {type: integer, readOnly: true}
        name: {type: string, example: Rex}
        note: {type: string, nullable: true}
        weight: {type: number, minimum: 0, exclusiveMinimum: true}
        owner: {$ref: '#/components/schemas/Owner'}
    Owner:
      type: object
      properties:
        name: {type: string}
        pets:
          type: array
          items: {$ref: '#/components/schemas/Pet'}
  securitySchemes:
    key: {type: apiKey, in: header, name: X-Api-Key}
"""

STRIPE = b"""\
{"openapi": "3.0.0",
 "info": {"title": "Payments API", "version": "2026-01-01"},
 "servers": [{"url": "https://api.payments.example/"}],
 "security": [{"basicAuth": [], "second": []}, {"bearerAuth": []}],
 "paths": {
  "/v1/charges": {
   "post": {"operationId": "PostCharges", "requestBody": {"required": true, "content": {
     "application/x-www-form-urlencoded": {
      "encoding": {"metadata": {"style": "deepObject", "explode": true}},
      "schema": {"type": "object", "required": ["amount", "currency"], "properties": {
       "amount": {"type": "integer"}, "currency": {"type": "string", "maxLength": 3},
       "metadata": {"type": "object", "additionalProperties": {"type": "string"}}}}}}},
     "responses": {"200": {"description": "The charge"}}},
   "get": {"operationId": "GetCharges", "parameters": [
     {"name": "created", "in": "query", "style": "deepObject", "explode": true, "schema": {"type": "object",
      "properties": {"gte": {"type": "integer"}, "lt": {"type": "integer"}}}},
     {"name": "expand", "in": "query", "schema": {"type": "array", "items": {"type": "string"}}}],
     "responses": {"200": {"description": "The charges"}}}}},
 "components": {"securitySchemes": {
  "basicAuth": {"type": "http", "scheme": "basic"}, "second": {"type": "http", "scheme": "digest"},
  "bearerAuth": {"type": "http", "scheme": "bearer"}}}}
"""

GITHUB = b"""\
openapi: "3.1.0"
info:
  title: Code Hosting
  version: 1.1.4
servers:
  - url: https://api.github.example
paths:
  /repos/{owner}/{repo}/issues:
    post:
      operationId: issues/create
      summary: Create an issue
      tags: [issues]
      security: [{app: [repo, "issues:write"]}]
      parameters: [{$ref: "#/components/parameters/owner"}, {$ref: "#/components/parameters/repo"}]
      requestBody:
        required: true
        content:
          application/json:
            schema:
              type: object
              required: [title]
              properties:
                title: {type: [string, integer]}
                labels: {type: array, items: {oneOf: [{type: string}, {type: object}]}}
            examples:
              default: {value: {title: Found a bug, labels: [bug]}}
  /repos/{owner}/{repo}/merge:
    patch:
      summary: Merge
      security: [{app: [repo]}]
      parameters:
        - {$ref: "#/components/parameters/owner"}
        - {$ref: "#/components/parameters/repo"}
        - {name: X-GitHub-Api-Version, in: header, required: true, schema: {type: string, const: "2022-11-28"}}
      requestBody:
        content:
          application/merge-patch+json: {}
components:
  parameters:
    owner: {name: owner, in: path, required: true, schema: {type: string}}
    repo: {name: repo, in: path, required: true, schema: {type: string}}
  securitySchemes:
    app:
      type: oauth2
      flows:
        clientCredentials: {tokenUrl: https://login.github.example/token, scopes: {repo: Repositories}}
"""

SWAGGER = b"""\
swagger: "2.0"
info: {title: Old Shop, description: "Sells [books](https://shop.example/books). And more."}
host: shop.example
basePath: /v2
schemes: [http, https]
consumes: [application/json]
produces: [application/json]
securityDefinitions:
  key: {type: apiKey, in: query, name: api_key}
  login: {type: basic}
security: [{key: []}, {login: []}]
parameters:
  shop: {name: shopId, in: path, required: true, type: integer}
definitions:
  Book:
    type: object
    required: [title]
    properties:
      id: {type: integer, readOnly: true}
      title: {type: string, maxLength: 2000}
      genre: {type: string, enum: [crime, non_fiction]}
paths:
  /shops/{shopId}/books:
    parameters: [{$ref: "#/parameters/shop"}]
    get:
      operationId: listBooks
      parameters:
        - {name: tags, in: query, type: array, items: {type: string}, collectionFormat: multi}
        - {name: ids, in: query, type: array, items: {type: integer}}
        - {name: offset, in: query, type: integer}
        - {name: limit, in: query, type: integer, maximum: 50}
      responses:
        200: {description: Books, schema: {type: array, items: {$ref: "#/definitions/Book"}}}
    post:
      operationId: addBook
      parameters: [{name: book, in: body, required: true, schema: {$ref: "#/definitions/Book"}}]
      responses: {201: {description: Added}}
  /upload:
    post:
      operationId: upload
      parameters:
        - {name: cover, in: formData, type: file, required: true}
        - {name: alt-text, in: formData, type: string}
      responses: {204: {description: Done}}
"""
