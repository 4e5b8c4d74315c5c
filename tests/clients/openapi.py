"""Validates an OpenAPI description with a validator that we did not write."""

import json
import sys

from openapi_spec_validator import OpenAPIV31SpecValidator, validate

with open(sys.argv[1], encoding="utf-8") as file:
    validate(json.load(file), cls=OpenAPIV31SpecValidator)
print("valid OpenAPI 3.1")
