import { Button } from "@mantine/core";
import { IconRoute } from "@tabler/icons-react";
import { Link } from "wouter";
import { api } from "@/api/client";
import { itemsOf } from "@/ui/LoadMore";
import { Page } from "@/ui/Page";
import { LoadingRows, Refused } from "@/ui/states";
import { useQueryState } from "@/ui/useQueryState";
import { Comparison, type View } from "./Comparison";
import { VersionList } from "./VersionList";
import { useVersions } from "./versions";
import classes from "./versions.module.css";

const SHOWN = { version: "", with: "", view: "graph" };

/** The number in the address, where it is one of a version. */
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
  const chosen = numberOf(values.with, latest);
  const before = chosen !== undefined && chosen !== after ? chosen : after - 1;
  return (
    <Page
      title={flow ? `Versions of ${flow.name}` : "Versions"}
      width={1500}
      actions={
        <Button
          component={Link}
          href={`/flows/${id}`}
          variant="default"
          leftSection={<IconRoute size={16} aria-hidden />}
        >
          Open in the editor
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
            onShow={(version) => change({ version: version === latest ? "" : String(version), with: "" })}
          />
          <Comparison
            id={id}
            latest={latest}
            before={before}
            after={after}
            view={values.view as View}
            onChange={change}
          />
        </div>
      )}
    </Page>
  );
}
