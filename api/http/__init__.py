"""HTTP as all resources use it: login and roles, JSON in and out, caching, query parameters, the built browser app."""
