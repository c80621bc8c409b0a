import { Alert, Button, Group, Stack, Text, TextInput } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, type Schemas } from "@/api/client";
import { useSession } from "@/app/session";
import { Refused } from "@/ui/states";

/** The approval that an agent waits for. An answer applies to this question only. */
export function AgentQuestion({ run }: { run: Schemas["AgentLogOut"] }) {
  const { may } = useSession();
  const client = useQueryClient();
  const [comment, setComment] = useState("");
  const answer = api.useMutation("post", "/api/runs/{run}/resume", {
    onSettled: () => client.invalidateQueries({ queryKey: ["agent run", run.id] }),
  });
  if (!run.question) return <Alert color="orange">{run.waiting}</Alert>;

  function give(word: "approved" | "rejected") {
    answer.mutate({
      params: { path: { run: run.run_id } },
      body: { node_id: run.node_id, answer: word, question: run.question, comment: comment || null },
    });
  }

  return (
    <Alert color="orange" title="Waiting for approval">
      <Stack gap="sm">
        <Text size="sm" style={{ whiteSpace: "pre-wrap", overflowWrap: "anywhere" }}>
          {run.waiting}
        </Text>
        <TextInput
          label="Comment"
          description="Sent to the agent if you reject"
          value={comment}
          onChange={(event) => setComment(event.currentTarget.value)}
        />
        <Group>
          <Button
            color="green.9"
            disabled={!may("operator")}
            loading={answer.isPending}
            onClick={() => give("approved")}
          >
            Approve
          </Button>
          <Button
            color="red.9"
            variant="outline"
            disabled={!may("operator")}
            loading={answer.isPending}
            onClick={() => give("rejected")}
          >
            Reject
          </Button>
        </Group>
        {answer.error && <Refused error={answer.error} />}
      </Stack>
    </Alert>
  );
}
