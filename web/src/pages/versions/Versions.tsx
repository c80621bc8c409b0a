import { Button } from "@mantine/core";
import { IconRoute } from "@tabler/icons-react";
import { Link } from "wouter";
import { api } from "@/api/client";
import { itemsOf } from "@/ui/LoadMore";
import { Card, Page } from "@/ui/Page";
import { Empty, LoadingRows, Refused } from "@/ui/states";
import { useQueryState } from "@/ui/useQueryState";
import { Comparison, type View } from "./Comparison";
import { VersionList } from "./VersionList";
import { useVersions } from "./versions";
import classes from "./versions.module.css";

/** `node`: the id of the node whose change is open. */
const SHOWN = { version: "", with: "", view: "graph", node: "" };

/** Return the version number in the address; null if it is not valid. */
function numberOf(text: string, latest: number): number | undefined {
  const number = Number(text);
  return Number.isInteger(number) && number > 0 && number <= latest ? number : undefined;
}

export default function Versions({ id }: { id: string }) {
  const { data: flow } = api.useQuery("get", "/api/workflows/{flow}", { params: { path: { flow: id } } });
  const query = useVersions(id);
  const { values, change } = useQueryState(SHOWN);
  const versions = itemsOf(query.data);
  const latest = versions[0]?.version ?? 0;
  const after = numberOf(values.version, latest) ?? latest;
  const isUnknown = values.version !== "" && numberOf(values.version, latest) === undefined;
  const chosen = numberOf(values.with, latest);
  const before = chosen !== undefined && chosen !== after ? chosen : after - 1;
  return (
    <Page
      title={flow ? `Versions of ${flow.name}` : "Versions"}
      above={{ path: "/flows", label: "Flows" }}
      width={1500}
      actions={
        <Button
          component={Link}
          href={`/flows/${id}`}
          variant="default"
          leftSection={<IconRoute size={16} aria-hidden />}
        >
          Open in editor
        </Button>
      }
    >
      {query.data === undefined ? (
        query.error ? (
          <Refused error={query.error} onRetry={() => void query.refetch()} />
        ) : (
          <LoadingRows />
        )
      ) : (
        <div className={classes.sides}>
          <VersionList
            versions={versions}
            query={query}
            latest={latest}
            shown={after}
            // Use the number even for the latest version: the link must show the same version when there are newer
            // ones.
            onShow={(version) => change({ version: String(version), with: "", node: "" })}
          />
          {isUnknown ? (
            <Card>
              <Empty
                title={`Version ${values.version} not found`}
                hint={`The flow has the versions 1 to ${latest}.`}
                action={
                  <Button variant="default" onClick={() => change({ version: "", with: "", node: "" })}>
                    Show latest version
                  </Button>
                }
              />
            </Card>
          ) : (
            <Comparison
              id={id}
              latest={latest}
              isActive={flow?.status === "active"}
              versions={versions}
              before={before}
              after={after}
              view={values.view as View}
              node={values.node}
              onChange={change}
            />
          )}
        </div>
      )}
    </Page>
  );
}
