#!/bin/sh
# Follows activations with nothing but curl: the cursor is kept in a file, written after the work is done, so that nothing is missed;
# what happened between the work and the write comes again (at least once). Give what you call the event's id as idempotency key.
#
#   GRANARY_URL=http://127.0.0.1:7421 GRANARY_TOKEN=gr_... sh subscribe.sh cursor.txt [STOP_AFTER]
set -eu
cursor_file=${1:-cursor.txt}
stop_after=${2:-0}
seen=0
while :; do
  cursor=$(cat "$cursor_file" 2>/dev/null || echo 0-0)
  # A page of at most 200 events behind the cursor, one JSON document. A farm that restarts is waited for; a refusal is shown, and ends this.
  page=$(curl --silent --show-error --fail-with-body --header "Authorization: Bearer $GRANARY_TOKEN" \
    --retry 600 --retry-delay 1 --retry-connrefused --retry-max-time 600 --max-time 60 \
    "${GRANARY_URL:-http://127.0.0.1:7421}/v1/events?limit=200&cursor=$cursor") || {
    printf '%s\n' "$page" >&2
    exit 1
  }
  # One line per event: cursor, type, source.
  lines=$(printf '%s' "$page" | tr -d '\n' | sed 's/{"specversion"/\n&/g' | sed -n \
    's/.*"source":"\([^"]*\)","type":"\([^"]*\)".*"granarycursor":"\([^"]*\)".*/\3 \2 \1/p')
  [ -n "$lines" ] || { sleep 1; continue; }
  while read -r at type source; do
    if [ "$type" = dev.granary.release.activated.v1 ]; then
      echo "activated: $source at $at"
      seen=$((seen + 1))
    fi
    printf '%s' "$at" >"$cursor_file.new" && mv "$cursor_file.new" "$cursor_file"
    [ "$stop_after" -eq 0 ] || [ "$seen" -lt "$stop_after" ] || exit 0
  done <<LINES
$lines
LINES
done
