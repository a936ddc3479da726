"""One page, whose body a test writes as a template, and a view that publishes as the project's code would."""

import json
import secrets

from django.http import HttpResponse, JsonResponse
from django.template import engines
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

import live

PAGE = """{{% load live static %}}<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <title>A page of my own</title>
  <link rel="icon" href="data:,">
  {{% live_script %}}
</head>
<body><main><h1>A page of my own</h1>{body}</main></body>
</html>"""


def strict_policy(get_response):
    """A policy that allows no inline script or style, and scripts by their nonce only."""

    def middleware(request):
        request.csp_nonce = secrets.token_urlsafe(16)
        response = get_response(request)
        response["Content-Security-Policy"] = (
            f"default-src 'none'; script-src 'nonce-{request.csp_nonce}'; img-src data:; "
            f"connect-src ws://{request.get_host()}; base-uri 'none'; require-trusted-types-for 'script'"
        )
        return response

    return middleware


def page(request):
    """The page with the body of the query."""
    template = engines["django"].from_string(PAGE.format(body=request.GET["body"]))
    return HttpResponse(template.render({}, request))


@csrf_exempt
async def publish(request):
    """Publish the JSON body, `{channel, data}`."""
    message = json.loads(request.body)
    await live.apublish(message["channel"], message["data"])
    return JsonResponse({})


urlpatterns = [path("page", page), path("publish", publish)]
