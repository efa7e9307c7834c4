# Redis with DiffKeeper as its parent. Build the image `diffkeeper` first.
FROM diffkeeper AS keeper
FROM redis:7-bookworm
COPY --from=keeper /usr/local/bin/node /usr/local/bin/node
COPY --from=keeper /opt/diffkeeper /opt/diffkeeper
RUN ln -s /opt/diffkeeper/dist/cli/main.js /usr/local/bin/diffkeeper \
 && install -d -o redis -g redis -m 0700 /deltas
USER redis
ENV DIFFKEEPER_STATE_DIR=/data DIFFKEEPER_STORE=/deltas/store DIFFKEEPER_CONSISTENCY=freeze
STOPSIGNAL SIGTERM
ENTRYPOINT ["diffkeeper"]
CMD ["--", "redis-server", "--dir", "/data", "--appendonly", "yes"]
