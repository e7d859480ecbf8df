<!--- show the queue --->
<cfset jobCount = 12>
<cfif jobCount GT 10>
    <p class="warn">#jobCount# jobs waiting</p>
<cfelse>
    <cfoutput>All quiet</cfoutput>
</cfif>
